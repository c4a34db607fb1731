"""The data of a run: of one that is about to begin, and what one was begun with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.data.dataset import Dataset, Fold
    from eyebright.data.split import Split
    from eyebright.presets import Resolved
    from eyebright.run_directory import RunDirectory
    from eyebright.settings import Settings


def load_fitted(
    resolved: Resolved,
    data_dir: Path | None,
    console: Console | None,
    *,
    progress: bool = False,
    folds: int | None = None,
) -> tuple[Dataset, Split, Settings]:
    """Load the data that settings name, split them, and fit the settings to them, saying what was changed.

    Args:
        resolved: the settings.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        console: where to say it; None says nothing.
        progress: whether a download shows a progress bar.
        folds: of a cross-validation; the split is then that of the fold that leaves the fewest images to learn from.

    Raises:
        DataError: the data cannot be read, or divided.
        SettingsError: settings that the data don't allow.
    """
    from eyebright.data.folds import fold_datasets
    from eyebright.data.loading import load_dataset
    from eyebright.data.split import split_dataset
    from eyebright.training.progress import say

    options = resolved.settings.picture_options
    dataset = load_dataset(resolved.settings.data, options=options, data_dir=data_dir, progress=progress)
    notes = list(dataset.notes)
    if "validation" not in dataset.splits:
        resolved, more = resolved.fitted_to_size(len(dataset) - len(dataset.splits.get("test", ())))
        notes += more
    parts = fold_datasets(dataset, folds, resolved.settings.split_seed) if folds else [dataset]
    splits = [split_dataset(part, **resolved.settings.split) for part in parts]
    split = min(splits, key=lambda split: len(split.train))
    settings, more = resolved.fitted(len(split.train), dataset.image_shape)
    for note in notes + more:
        say(console, note)
    return dataset, split, settings


def with_whole_paths(settings: Settings) -> Settings:
    """Settings whose paths are whole: a run is resumed, and its settings used again, from other directories, too."""
    from eyebright.data.catalog import CATALOG
    from eyebright.paths import is_url, whole_path

    paths = {
        "data": settings.data not in CATALOG and not is_url(settings.data),
        "teacher": settings.teacher,
        "exclude": settings.exclude,
        "weights": settings.weights not in ("imagenet", "none"),
    }
    return settings.model_copy(
        update={key: whole_path(getattr(settings, key)) for key, is_path in paths.items() if is_path}
    )


def load_run_data(run: RunDirectory, data: str | None, data_dir: Path | None, *, progress: bool) -> Dataset:
    """Load a run's data from where they lay, or from where the user says that they lie.

    Data of the catalogue are looked for in the data directory of today first, then in that of the run. For the run of a
    fold they are divided as its cross-validation divided them.

    Args:
        run: the run.
        data: what the user gave: a name of the catalogue, a path, or None.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        progress: whether a download shows a progress bar.

    Raises:
        RunError: the user gave nothing, and the run's data are not where they were.
        DataError: they cannot be read.
    """
    from eyebright.data.dataset import Fold

    dataset = _load(run, data, data_dir, progress=progress)
    return _as_divided(run, dataset, Fold(*run.data.fold)) if run.data.fold else dataset


def _as_divided(run: RunDirectory, dataset: Dataset, fold: Fold) -> Dataset:
    """The fold that a run was trained on, where these are the data of its cross-validation."""
    from eyebright.data.folds import fold_dataset
    from eyebright.errors import DataError

    try:
        part = fold_dataset(dataset, fold, run.settings.split_seed)
    except DataError:  # other data, which so many folds do not divide
        return dataset
    return part if part.fingerprint == run.data.fingerprint else dataset


def _load(run: RunDirectory, data: str | None, data_dir: Path | None, *, progress: bool) -> Dataset:
    from eyebright.data.catalog import CATALOG, is_here
    from eyebright.data.loading import data_directory, load_dataset
    from eyebright.data.readers import is_picture_set, read_arrays
    from eyebright.errors import RunError
    from eyebright.paths import expanded, is_url

    options = run.settings.picture_options
    if data is not None:
        given = expanded(data)
        if data not in CATALOG and is_picture_set(given) and read_arrays(given) is None:
            height, width, channels = run.data.image_shape
            shape = {
                "image_size": (height, width),
                "colour": "grey" if channels == 1 else "rgb",
                "fit": run.settings.fit,
            }
            options = options.model_copy(update=shape)
        return load_dataset(data, options=options, data_dir=data_dir, progress=progress)
    source = run.data.source or run.settings.data
    name, _, runs_data_dir = source.partition(":")
    if name in CATALOG:
        entry = CATALOG[name]
        if runs_data_dir and is_here(entry, Path(runs_data_dir)) and not is_here(entry, data_directory(data_dir)):
            data_dir = Path(runs_data_dir)
        return load_dataset(name, options=options, data_dir=data_dir, progress=progress)
    if is_url(source):
        return load_dataset(source, options=options, progress=progress)
    if not os.path.lexists(source):
        raise RunError(f"{run.path}: its data are no longer in {source}. Give the path where they are now, as DATA.")
    return load_dataset(Path(source), options=options, progress=progress)
