"""What a process does that trains beside the first of its group: nothing is decided there, and nothing written."""

from __future__ import annotations

from pathlib import Path

from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.run_directory import RunDirectory
from eyebright.training.engine_group import GroupEngine
from eyebright.training.origins import kept_origins
from eyebright.training.preparation import build, build_engine


def follower(run_dir: Path, dataset: Dataset) -> GroupEngine:
    """What trains beside the first process, which must have said that the run's directory is there.

    Args:
        run_dir: the run's directory, where its settings are read, and the networks that it begins with.
        dataset: what it learns from.

    Returns:
        An engine to `follow`, which needs the directory no more.

    Raises:
        RunError: the directory is not here, or the data are others.
    """
    run = RunDirectory.open(run_dir)
    run.check_same_data(dataset)
    split = split_dataset(dataset, **run.settings.split)
    origins = kept_origins(run, dataset, None)
    model = build(run.settings, dataset, origins.pretrained)
    teacher = origins.teaching(run.settings.precision)
    _, engine = build_engine(model, run.settings, dataset, split.train, teacher)
    if not isinstance(engine, GroupEngine):
        raise TypeError("this process belongs to no group")
    return engine
