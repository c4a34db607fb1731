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

    Args:
        run: the run.
        data: what the user gave: a name of the catalogue, a path, or None.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        progress: whether a download shows a progress bar.

    Raises:
        RunError: the user gave nothing, and the run's data are not where they were.
        DataError: they cannot be read.
    """
    from eyebright.data.catalog import CATALOG
    from eyebright.data.loading import load_dataset
    from eyebright.errors import RunError

    recorded = run.settings.data
    if data is None and recorded not in CATALOG and not os.path.lexists(recorded):
        raise RunError(f"{run.path}: its data are no longer in {recorded}. Give the path where they are now, as DATA.")
    return load_dataset(data or recorded, data_dir=data_dir, progress=progress)
