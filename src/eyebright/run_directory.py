"""A run's directory: what lies in it, and who may write it.

settings.toml          every setting of the run, resolved        written before the first step
data.json              what its data are, and where they lay     written before the first step
metrics.csv            every scalar that was recorded
events.out.tfevents.*  the same and more, for TensorBoard
checkpoints/step-*/    see training/checkpoint.py
environment.json       versions, processor, threads: what it was trained with   written before the first step
learnt_images.npz      which images it and what it began with have learnt from   written before the first step
teacher/               the classifier that the run learns from, if any
backbone/              the trained backbone that the run began with, if any
model/                 the saved classifier, see classifier.py
validation_predictions.npz   labels, logits, image hashes of the validation images, by the saved classifier
test_predictions.npz   labels, logits, image hashes of the one run over the test images
copy.json              where a copy of the run is kept, if anywhere, see run_copy.py
looks.json             how often a model of this run met the test images
results.json           written last: it marks a finished run
report.html            what `eyebright report` makes of all this, on request

The directory of a cross-validation has settings.toml, data.json (with the number of folds), environment.json (as of its
beginning) and results.json, too; beside them out_of_fold.npz, and a run's directory for each fold, fold-1/ and so on.
Its learnt_images.npz is of what all its runs begin with alone. That of runs of several seeds is the same, without
out_of_fold.npz, and with seed-0/ and so on. For that of a search for settings see tuning/record.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright.data.dataset import Dataset
from eyebright.data.split import Split
from eyebright.errors import RunError
from eyebright.ledger import LooksOfData, count_look, looks_of_data
from eyebright.run_paths import check_free, fold_path, is_run, seed_path, study_run, why_no_run
from eyebright.settings import Settings
from eyebright.sources import read_layer, validated
from eyebright.storage import json_bytes, write_file


class DataRecord(BaseModel):
    """What a run remembers of its data, to find it and know it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    training_images: int
    validation_images: int
    test_images: int
    source: str = ""  # of the data set; older runs have none
    folds: int | None = Field(None, ge=2)  # how many; of a cross-validation, not of the runs in it
    seeds: int | None = Field(None, ge=2)  # how many; of runs of several seeds, not of each of them
    fold: tuple[int, int] | None = None  # of a run in a cross-validation: the number of its fold, and of how many
    study: bool = False  # whether it is the directory of a search for settings
    trial: int | None = None  # of a run in a search: its number; such a run never meets the test images

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        split: Split,
        folds: int | None = None,
        seeds: int | None = None,
        trial: int | None = None,
    ) -> Self:
        """The record of a data set, split as the run splits it.

        Args:
            dataset: of the run.
            split: of the data set.
            folds: their number, for the directory of a cross-validation.
            seeds: their number, for the directory of runs of several seeds.
            trial: its number, for a run that tries settings.
        """
        return cls(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            training_images=len(split.train),
            validation_images=len(split.validation),
            test_images=len(split.test),
            source=dataset.source,
            folds=folds,
            seeds=seeds,
            fold=dataset.fold,
            trial=trial,
        )


class RunDirectory:
    """One run's directory. Make it with `create` or `open`."""

    def __init__(self, path: Path, settings: Settings, data: DataRecord) -> None:
        self.path = path
        self.settings = settings
        self.data = data

    @classmethod
    def create(
        cls, path: Path, settings: Settings, data: DataRecord, files: Mapping[str, bytes] = MappingProxyType({})
    ) -> Self:
        """Make a new run's directory, which appears with its settings in it, and with further files by their names.

        Raises:
            RunExistsError: something of that name is there already, be it that another process was faster.
            RunError: it cannot be made.
        """
        check_free(path)
        half_made = path.with_name(f".{path.name}.{os.getpid()}.creating")
        try:
            shutil.rmtree(half_made, ignore_errors=True)
            half_made.mkdir(parents=True)
            write_file(half_made / "settings.toml", settings.to_toml())
            write_file(half_made / "data.json", json_bytes(data.model_dump(mode="json")))
            for name, content in files.items():
                write_file(half_made / name, content)
            half_made.rename(path)
        except OSError as error:
            check_free(path)
            raise RunError(f"{path}: the run's directory cannot be made: {error.strerror}.") from error
        finally:
            shutil.rmtree(half_made, ignore_errors=True)  # there only if something failed
        return cls(path, settings, data)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the directory of a run that was begun.

        Raises:
            RunError: it is none, or that of a cross-validation, of several seeds or of a search, which have runs in it.
            SettingsError: its settings.toml has an unknown key or a value out of range.
        """
        run = cls.open_any(path)
        if run.data.folds is not None:
            raise RunError(
                f"{path}: this is a cross-validation of {run.data.folds} runs. Give one of them, for example "
                f"{fold_path(path, 1)}."
            )
        if run.data.seeds is not None:
            raise RunError(
                f"{path}: these are {run.data.seeds} runs of several seeds. Give one of them, for example "
                f"{seed_path(path, run.settings.seed)}."
            )
        if run.data.study:
            best = study_run(path) or "it has none yet"
            raise RunError(f"{path}: this is a search for settings. Give the run of the best of them: {best}.")
        return run

    @classmethod
    def open_any(cls, path: Path) -> Self:
        """The same for a run or a directory of several: with `data.folds`, `data.seeds` or `data.study`."""
        if not is_run(path):
            raise RunError(f"{path}: {why_no_run(path)}")
        layer = read_layer(path / "settings.toml")
        settings = validated(layer.values, dict.fromkeys([*layer.values, *Settings.model_fields], layer))
        try:
            data = DataRecord.model_validate_json((path / "data.json").read_bytes())
        except ValidationError as error:
            raise RunError(f"{path / 'data.json'}: damaged: {error.errors()[0]['msg']}.") from error
        except OSError as error:
            raise RunError(f"{path / 'data.json'}: cannot be read: {error.strerror}.") from error
        return cls(path, settings, data)

    @contextlib.contextmanager
    def locked(self, seconds: float = 0.0) -> Iterator[None]:
        """Hold the run's lock, which the system releases however the process ends.

        Args:
            seconds: to wait for another process to let go of it.

        Raises:
            RunError: another process holds it, or the directory cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock", timeout=seconds)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(f"{self.path}: another process is at work in this run. Wait for it, or stop it.") from error
        except OSError as error:
            raise RunError(
                f"{self.path}: the run's directory cannot be written: {error.strerror}. Work in a copy of it."
            ) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def results(self) -> dict[str, Any] | None:
        """What results.json holds, or None while the run is not finished."""
        return self.read_record("results.json")

    def write_results(self, results: dict[str, Any]) -> None:
        """Write results.json, which marks the run as finished."""
        write_file(self.path / "results.json", json_bytes(results))

    def extend(self, settings: Settings) -> None:
        """Make a run longer: new settings, and it is not finished any more."""
        (self.path / "results.json").unlink(missing_ok=True)
        write_file(self.path / "settings.toml", settings.to_toml())
        self.settings = settings

    @cached_property
    def looks_of_data(self) -> LooksOfData:
        """How often any run met the test images of these data, as of this run's last look."""
        return looks_of_data(self.data.fingerprint)

    @property
    def test_looks(self) -> int:
        """How often a model of this run met the test images."""
        record = self.read_record("looks.json")
        if record is None:
            return 0
        looks = record.get("test_looks")
        if not isinstance(looks, int):
            raise RunError(f"{self.path / 'looks.json'}: damaged: it has no number test_looks.")
        return looks

    def count_test_look(self) -> int:
        """Note that a model is about to meet the test images, in the user's ledger, too; hold the lock.

        Returns:
            The number of looks of this run so far; `looks_of_data` has that of all runs on these data.
        """
        looks = self.test_looks + 1
        write_file(self.path / "looks.json", json_bytes({"test_looks": looks}))
        self.looks_of_data = count_look(self.data.fingerprint, self.path)
        if self.results is not None:
            self.write_results({**self.results, "test_looks": looks, **self.looks_of_data.to_dict()})
        return looks

    def read_record(self, name: str) -> dict[str, Any] | None:
        """A JSON object that the run keeps under a name, or None where it is not there.

        Raises:
            RunError: it cannot be read, or is none.
        """
        path = self.path / name
        try:
            record = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise RunError(f"{path}: damaged: {error}.") from error
        if not isinstance(record, dict):
            raise RunError(f"{path}: damaged: it holds no JSON object.")
        return record

    def check_same_data(self, dataset: Dataset) -> None:
        """Refuse data that is not what the run was trained on.

        Raises:
            RunError: its fingerprint is another.
        """
        if dataset.fingerprint != self.data.fingerprint:
            raise RunError(
                f"{dataset.name}: this is not the data of the run {self.path} "
                f"(fingerprint {dataset.fingerprint[:12]}…, the run's {self.data.fingerprint[:12]}…). Give the path of "
                "the data that it was trained on."
            )
