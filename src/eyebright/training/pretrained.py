"""The weights that a transfer model begins with: of ImageNet, of a file, of a run; and the new run's copy of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Console

from eyebright import storage
from eyebright.architecture import DEFAULT_BACKBONE
from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.backend import available_threads, keras, set_threads, versions
from eyebright.classifier import Classifier
from eyebright.classifier_parts import weights_sha256
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, DownloadError, SettingsError, StorageError, suggestion
from eyebright.models import Architecture
from eyebright.models.backbones import application_of_file, application_of_imagenet
from eyebright.models.transfer import is_head, standardised
from eyebright.paths import expanded, is_directory, is_file
from eyebright.run_directory import RunDirectory
from eyebright.settings import Backbone, Settings

KIND = "eyebright-backbone"
VERSION = 1
NAMED_WEIGHTS = ("imagenet", "none")
_KEPT = "backbone"  # where a run keeps what it began with
_BACKBONE: TypeAdapter[Backbone | Architecture] = TypeAdapter(Backbone | Architecture)


@dataclass(frozen=True)
class Pretrained:
    """A trained backbone.

    Attributes:
        source: "imagenet", or the path of the file or run that it is from.
        backbone: a network of Keras's by its name, or the architecture of one of ours.
        weights: by name, without those of a last layer.
    """

    source: str
    backbone: Backbone | Architecture
    weights: dict[str, NDArray[Any]]

    def put_into(self, model: keras.Model) -> None:
        """Set the weights of a transfer model's backbone.

        Raises:
            ClassifierError: they are of another backbone.
        """
        own = {weight.path: weight for weight in model.weights if not is_head(weight.path)}
        expected = {name: tuple(weight.shape) for name, weight in own.items()}
        received = {name: array.shape for name, array in self.weights.items()}
        if expected != received:
            wrong = sorted(expected.items() ^ received.items())[0][0]
            raise ClassifierError(f"{self.source}: not the weights of this backbone: {wrong} differs.")
        for name, weight in own.items():
            weight.assign(self.weights[name])

    def save(self, directory: Path) -> None:
        """Write it as a directory that appears whole or not at all."""
        record = {
            "source": self.source,
            "backbone": _BACKBONE.dump_python(self.backbone, mode="json", exclude_none=True),
            "weights_sha256": weights_sha256(self.weights),
        }
        parts = {"backbone.json": storage.json_bytes(record), "weights.npz": arrays_to_npz(self.weights)}
        storage.write_directory(directory, parts, kind=KIND, version=VERSION, versions=versions())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read and verify what `save` wrote.

        Raises:
            ClassifierError: a part is missing or damaged.
        """
        try:
            parts = storage.read_directory(directory, kind=KIND, version=VERSION)
            record = json.loads(parts["backbone.json"])
            backbone = _BACKBONE.validate_python(record["backbone"])
            return cls(record["source"], backbone, npz_to_arrays(parts["weights.npz"]))
        except StorageError as error:
            raise ClassifierError(str(error)) from error
        except (ValueError, KeyError, TypeError) as error:  # verified, and written by another
            raise ClassifierError(f"{directory}: no valid backbone: {error}.") from error


def load_pretrained(settings: Settings, dataset: Dataset, console: Console | None = None) -> Pretrained | None:
    """The trained backbone that the settings name, or None.

    Args:
        settings: `model`, `backbone` and `weights` are read.
        dataset: what is to be learnt.
        console: where the progress of a download is shown; None shows nothing.

    Raises:
        ClassifierError: the saved classifier of a run is missing or damaged.
        DownloadError: the weights of ImageNet are not here, and cannot be had.
        RunError: this process already computes with another number of threads.
        SettingsError: nothing is of that name; a file of other weights; a backbone that sees other images.
    """
    if settings.model != "transfer" or settings.weights == "none":
        return None
    set_threads(settings.threads or available_threads())  # before Keras computes anything
    named = DEFAULT_BACKBONE if settings.backbone == "auto" else settings.backbone
    if settings.weights == "imagenet":
        return _of_imagenet(named, console)
    path = expanded(settings.weights)
    if is_directory(path):
        return _of_classifier(path, settings.backbone, dataset)
    if not is_file(path):
        near = suggestion(path.name, NAMED_WEIGHTS)  # the command line makes a path of whatever is no name
        near = near if near.startswith(" Did") else ""
        raise SettingsError(
            f"--weights {settings.weights}: there is no such file or run.{near} Give imagenet, none, a file of weights "
            "that Keras saved, or a finished run."
        )
    return _of_file(path, named)


def keep(run: RunDirectory, pretrained: Pretrained | None) -> None:
    """Keep a copy in the run, whose lock is held, so that it can go on whatever becomes of the original."""
    if pretrained is not None and not (run.path / _KEPT).is_dir():
        pretrained.save(run.path / _KEPT)


def run_pretrained(run: RunDirectory, dataset: Dataset, console: Console | None = None) -> Pretrained | None:
    """What a run began with: its copy, or the original where it was killed before it had kept one.

    Raises:
        ClassifierError: the copy is damaged.
        EyebrightError: there is no copy, and the original cannot be had either; see `load_pretrained`.
    """
    if (run.path / _KEPT).is_dir():
        return Pretrained.load(run.path / _KEPT)
    return load_pretrained(run.settings, dataset, console)


def run_architecture(run: RunDirectory) -> Architecture:
    """The architecture of the model that a run trains.

    Raises:
        ClassifierError: the run's copy of the backbone that it began with is damaged.
    """
    backbone = Pretrained.load(run.path / _KEPT).backbone if (run.path / _KEPT).is_dir() else None
    return Architecture.of(run.settings, run.data.image_shape, len(run.data.class_names), backbone)


def _of_classifier(path: Path, wanted: Backbone, dataset: Dataset) -> Pretrained:
    where = f"--weights {path}"
    try:
        classifier = Classifier.load(path)
    except ClassifierError as error:
        raise ClassifierError(f"--weights: {error}") from error
    architecture = classifier.architecture
    if architecture.model == "softmax":
        raise SettingsError(f"{where}: a softmax model has no layers below its last. Give a run of another model.")
    if classifier.image_shape != dataset.image_shape:
        ours, theirs = (" × ".join(map(str, shape)) for shape in (classifier.image_shape, dataset.image_shape))
        raise SettingsError(
            f"{where}: it sees images of {ours} (height × width × channels), and those of {dataset.name} are {theirs}. "
            "Give a run that was trained on images of this size, or bring pictures to its size with --image-size."
        )
    weights = {name: array for name, array in classifier.weights.items() if not is_head(name)}
    if architecture.backbone is None:
        own, weights = standardised(architecture, weights)
        backbone: Backbone | Architecture = own.model_copy(update={"dropout": 0.0})
    else:
        backbone = architecture.backbone
    if wanted not in ("auto", backbone):
        own_name = backbone.model if isinstance(backbone, Architecture) else backbone
        raise SettingsError(f"--backbone {wanted}: contradicts {where}, whose backbone is {own_name}. Leave it out.")
    return Pretrained(str(path), backbone, weights)


def _of_file(path: Path, backbone: Backbone) -> Pretrained:
    try:
        model = application_of_file(backbone, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise SettingsError(
            f"--weights {path}: no weights of the backbone {backbone} without its head. Keras says: {why[0]} "
            "Give a file that save_weights wrote of this network (--backbone says which it is)."
        ) from error
    weights = _weights(model)
    broken = next((name for name, array in weights.items() if not np.isfinite(array).all()), None)
    if broken is not None:
        raise SettingsError(f"--weights {path}: {broken} is not finite. Give an intact file.")
    return Pretrained(str(path), backbone, weights)


def _of_imagenet(backbone: Backbone, console: Console | None) -> Pretrained:
    # Keras shows the download's progress on standard output, which is not for people where --json is given.
    with contextlib.ExitStack() as stack:
        shown = sys.stderr if console is not None else stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123
        stack.enter_context(contextlib.redirect_stdout(shown))
        try:
            model = application_of_imagenet(backbone)
        except Exception as error:  # Keras raises nothing narrower for a download that fails
            raise DownloadError(_how_to_get(backbone, str(error))) from error
    return Pretrained("imagenet", backbone, _weights(model))


def _how_to_get(backbone: str, reason: str) -> str:
    address = re.search(r"https?://\S+(?=:)", reason)
    models = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    steps = f"Fetch {address[0]} elsewhere and put it into {models}" if address else f"Look into {models}"
    return (
        f"--weights imagenet: the weights of {backbone} are not here and cannot be downloaded ({reason}). {steps}, or "
        "give the file as --weights FILE; --weights RUN takes a network that you have trained yourself, and "
        "--weights none begins without any."
    )


def _weights(model: keras.Model) -> dict[str, NDArray[Any]]:
    return {weight.path: weight.numpy() for weight in model.weights}
