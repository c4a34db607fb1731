"""`eyebright evaluate`: exact figures of a run's classifier or checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.output import print_json
from eyebright.cli.run_data import load_run_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eyebright.classifier import Classifier
    from eyebright.data.dataset import Dataset
    from eyebright.run_directory import RunDirectory


def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="Other data of the same classes, or where the run's data lies now.", show_default="the run's"
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="step-N", help="Evaluate this checkpoint.", show_default="the saved classifier"),
    ] = None,
    split: Annotated[str, typer.Option(help="Which images: test, validation or train.")] = "test",
    top_k: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="For the top-k accuracy: the share of images whose own class is among the first K.",
            show_default="5 where there are more classes, else none",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data sets of the catalogue are kept.", envvar="EYEBRIGHT_DATA")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run's classifier or checkpoint exactly.

    Every image of the split counts once, and every figure has a 95% interval: where it would lie with other images of
    the same kind. A run of a model on any of the run's test images, in whatever data they lie, counts as a look, which
    results.json and the user's ledger of looks record: choose on validation images.
    """
    from eyebright.errors import SettingsError, suggestion
    from eyebright.run_directory import RunDirectory

    if split not in ("train", "validation", "test"):
        known = ("train", "validation", "test")
        raise SettingsError(f"--split {split}: no such split.{suggestion(split, known)}")
    directory = RunDirectory.open(run)
    dataset = load_run_data(directory, data, data_dir, progress=not json)
    own = dataset.fingerprint == directory.data.fingerprint
    if data is None:
        directory.check_same_data(dataset)
    indices = _indices(directory, dataset, split, own)
    classifier = _classifier(directory, checkpoint)

    from eyebright.evaluation.evaluate import checked_top_k
    from eyebright.evaluation.evaluate import evaluate as evaluate_classifier
    from eyebright.ledger import LooksOfData

    checked_top_k(top_k, len(classifier.class_names))  # before it counts as a look
    looks, of_data = None, LooksOfData(None, None)
    if (split == "test") if own else _has_test_images(directory, dataset, indices):
        with directory.locked():
            looks = directory.count_test_look()
        of_data = directory.looks_of_data
    evaluation = evaluate_classifier(classifier, dataset, indices, top_k=top_k, progress=not json)
    if json:
        if of_data.warning:
            print(of_data.warning, file=sys.stderr)
        counted = {"test_looks": looks, **of_data.to_dict()}
        print_json({**evaluation.to_dict(), "data": dataset.name, "split": split, **counted})
        return

    from eyebright.cli.evaluation_tables import print_evaluation

    print_evaluation(evaluation, f"{dataset.name}, {split} images")
    if of_data.sentence:
        print(of_data.sentence)
    if looks is not None:
        print(f"Looks at the run's test images so far: {looks}")


def _indices(run: RunDirectory, dataset: Dataset, split: str, own: bool) -> NDArray[np.int64]:
    """The images of a split: of the run's own data as the run split it, of other data as that came split."""
    import numpy as np

    from eyebright.data.split import split_dataset
    from eyebright.errors import DataError

    if own:
        indices: NDArray[np.int64] = getattr(split_dataset(dataset, **run.settings.split), split)
        if not len(indices):
            raise DataError(f"--split {split}: the run {run.path} kept no such images.")
        return indices
    if split in dataset.splits:
        return dataset.splits[split]
    if dataset.splits or split != "test":
        raise DataError(f"{dataset.name}: it has no split {split!r}.")
    return np.arange(len(dataset))  # other data without splits: all of it is new to the classifier


def _has_test_images(run: RunDirectory, dataset: Dataset, indices: NDArray[np.int64]) -> bool:
    """Whether a test image of the run is among these images of other data; no where the run has met none yet."""
    import zipfile

    from eyebright.classifier import npz_to_arrays
    from eyebright.data.dataset import hash_keys, image_hashes
    from eyebright.errors import RunError

    path = run.path / "test_predictions.npz"
    try:
        tests = npz_to_arrays(path.read_bytes())["image_sha256"]
    except FileNotFoundError:
        return False
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{path}: damaged: it cannot be told whether these are test images of the run. Restore the file."
        ) from error
    return not set(hash_keys(tests)).isdisjoint(hash_keys(image_hashes(dataset.images, indices)))


def _classifier(run: RunDirectory, checkpoint: str | None) -> Classifier:
    from eyebright.errors import RunError
    from eyebright.suggestions import command

    if checkpoint is None and run.results is None:
        go_on = command("train", "--resume", run.path)
        raise RunError(
            f"{run.path}: this run is not finished. Go on with it ({go_on}), or name one of its checkpoints "
            "(--checkpoint step-N)."
        )
    from eyebright.backend import available_threads, set_threads
    from eyebright.classifier import Classifier

    set_threads(run.settings.threads or available_threads())
    if checkpoint is not None:
        from eyebright.training.checkpoint import Checkpoints
        from eyebright.training.pretrained import run_architecture

        checkpoints = Checkpoints(run.path / "checkpoints", run.settings.keep_checkpoints)
        architecture, settings = run_architecture(run), run.settings
        return checkpoints.load_classifier(checkpoint, architecture, run.data.class_names, settings.tta, settings.fit)
    return Classifier.load(run.path)
