"""The data that a run was begun with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eyebright.data.dataset import Dataset
    from eyebright.run_directory import RunDirectory


def load_run_data(run: RunDirectory, data: str | None, data_dir: Path | None, *, progress: bool) -> Dataset:
    """Load a run's data from where they lay, or from where the user says that they lie.

    Data of the catalogue are looked for in the data directory of today first, then in that of the run.

    Args:
        run: the run.
        data: what the user gave: a name of the catalogue, a path, or None.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        progress: whether a download shows a progress bar.

    Raises:
        RunError: the user gave nothing, and the run's data are not where they were.
        DataError: they cannot be read.
    """
    from eyebright.data.catalog import CATALOG, is_here
    from eyebright.data.loading import data_directory, load_dataset
    from eyebright.errors import RunError

    if data is not None:
        return load_dataset(data, data_dir=data_dir, progress=progress)
    source = run.data.source or run.settings.data
    name, _, runs_data_dir = source.partition(":")
    if name in CATALOG:
        entry = CATALOG[name]
        if runs_data_dir and is_here(entry, Path(runs_data_dir)) and not is_here(entry, data_directory(data_dir)):
            data_dir = Path(runs_data_dir)
        return load_dataset(name, data_dir=data_dir, progress=progress)
    if not os.path.lexists(source):
        raise RunError(f"{run.path}: its data are no longer in {source}. Give the path where they are now, as DATA.")
    return load_dataset(source)
