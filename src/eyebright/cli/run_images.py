"""Which images of a run's data a command looks at, with which classifier, and whether that is a look at test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eyebright.cli.run_data import load_run_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eyebright.classifier import Classifier
    from eyebright.data.dataset import Dataset
    from eyebright.run_directory import RunDirectory

SPLITS = ("train", "validation", "test")


class RunImages(NamedTuple):
    """Some images for a run's classifier.

    Attributes:
        dataset: that they are of.
        indices: int64 [n], which of its images.
        split: its name.
        own: whether the data set is what the run was trained on, rather than other data.
    """

    dataset: Dataset
    indices: NDArray[np.int64]
    split: str
    own: bool


def check_split(split: str) -> None:
    """Refuse an unknown split, before anything is read.

    Raises:
        SettingsError: naming the nearest one.
    """
    from eyebright.errors import SettingsError, suggestion

    if split not in SPLITS:
        raise SettingsError(f"--split {split}: no such split.{suggestion(split, SPLITS)}")


def load_run_images(
    run: RunDirectory, data: str | None, data_dir: Path | None, split: str, *, progress: bool
) -> RunImages:
    """Load a run's data, or other data, and choose the images of a split.

    Args:
        run: the run.
        data: what the user gave: a name of the catalogue, a path, or None for the run's.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        split: of `SPLITS`.
        progress: whether a download shows a progress bar.

    Raises:
        RunError: the run's data are not where they were, or have changed.
        DataError: they cannot be read, or have no such images.
    """
    dataset = load_run_data(run, data, data_dir, progress=progress)
    own = dataset.fingerprint == run.data.fingerprint
    if data is None:
        run.check_same_data(dataset)
    return RunImages(dataset, _indices(run, dataset, split, own), split, own)


def count_look(run: RunDirectory, images: RunImages) -> int | None:
    """Note that a model of a run is about to meet images, if any of them is a test image of the run.

    Returns:
        The number of looks so far; None where it is none.
    """
    if (images.split != "test") if images.own else not _has_test_images(run, images.dataset, images.indices):
        return None
    with run.locked():
        return run.count_test_look()


def saved_classifier(run: RunDirectory, instead: str = "") -> Classifier:
    """A finished run's classifier, in the number of threads that the run has.

    Args:
        run: the run.
        instead: what else could be done where it is not finished, as the end of the message's sentence.

    Raises:
        RunError: the run is not finished.
    """
    from eyebright.errors import RunError
    from eyebright.suggestions import command

    if run.results is None:
        go_on = command("train", "--resume", run.path)
        raise RunError(f"{run.path}: this run is not finished. Go on with it ({go_on}){instead}.")
    from eyebright.backend import available_threads, set_threads
    from eyebright.classifier import Classifier

    set_threads(run.settings.threads or available_threads())
    return Classifier.load(run.path)


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
        there = ", ".join(sorted(dataset.splits) or ["test"])  # data without splits are all new to the classifier
        raise DataError(f"{dataset.name}: it has no split {split!r}. Choose with --split of: {there}.")
    return np.arange(len(dataset))  # other data without splits: all of it is new to the classifier


def _has_test_images(run: RunDirectory, dataset: Dataset, indices: NDArray[np.int64]) -> bool:
    """Whether a test image of the run is among these images of other data.

    No where the run has met none yet; yes where it has lost the record of those that it met, and any may be one.
    """
    from eyebright.data.dataset import hash_keys, image_hashes
    from eyebright.errors import RunError, StorageError
    from eyebright.predictions_file import StoredPredictions

    path = run.path / "test_predictions.npz"
    if not path.exists():
        return run.test_looks > 0
    try:
        tests = StoredPredictions.read(path, len(run.data.class_names)).image_sha256
    except StorageError as error:
        raise RunError(
            f"{error}. It cannot be told whether these are test images of the run. Restore the file."
        ) from error
    return not set(hash_keys(tests)).isdisjoint(hash_keys(image_hashes(dataset.images, indices)))
