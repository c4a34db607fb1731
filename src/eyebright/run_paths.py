"""Where runs lie: names of their directories, and what a path is."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from eyebright.errors import RunError
from eyebright.paths import is_directory, is_file
from eyebright.settings import Settings


class RunExistsError(RunError):
    """Something is already where a new run's directory should be."""


def fold_path(path: Path, number: int) -> Path:
    """Where a cross-validation keeps the run of a fold, counted from 1."""
    return path / f"fold-{number}"


def seed_path(path: Path, seed: int) -> Path:
    """Where runs of several seeds keep that of a seed."""
    return path / f"seed-{seed}"


def best_path(path: Path, trial: int) -> Path:
    """Where a search for settings keeps the run of the best of them, which a trial of this number had found."""
    return path / f"best-trial-{trial}"


def study_run(path: Path) -> Path | None:
    """The newest run that a search for settings trained with the best of them, or None while there is none."""
    found = [one for one in path.glob("best-trial-*") if is_run(one)]
    return max(found, key=lambda one: (one / "settings.toml").stat().st_mtime, default=None)


def member_paths(path: Path) -> dict[str, list[Path]]:
    """The runs of which a directory consists, in order.

    Returns:
        {"folds": [fold-1, …]} of a cross-validation, {"seeds": [seed-0, …]} of a training with several seeds, {} of
        anything else. One that is named so and is no run is there as well.
    """
    found: dict[str, list[Path]] = {}
    if not is_directory(path):
        return found
    for kind, prefix in (("folds", "fold-"), ("seeds", "seed-")):
        named = {entry.name.removeprefix(prefix): entry for entry in path.glob(f"{prefix}*") if entry.is_dir()}
        numbered = {int(number): entry for number, entry in named.items() if number.isdecimal()}
        if numbered:
            found[kind] = [numbered[number] for number in sorted(numbered)]
    return found


def check_free(path: Path) -> None:
    """Refuse a path where something is already, or that is no UTF-8: TensorFlow and the run's files write it so.

    Raises:
        RunExistsError: something is there.
        RunError: it is no UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{path}: the path of a run's directory must be UTF-8. Name another directory.") from error
    if os.path.lexists(path):  # unlike Path.exists, it does not raise for a name that is too long, say
        raise RunExistsError(
            f"{path}: exists already. A run never overwrites another: name another directory, or resume it."
        )


def default_path(settings: Settings, now: datetime, kind: str = "") -> Path:
    """`runs/<date>-<time>-<data>-<model><kind>`, with a number behind it where that is taken."""
    data = Path(settings.data).name.removesuffix(".npz") or "data"
    base = Path("runs") / f"{now:%Y%m%d-%H%M%S}-{data}-{settings.model}{kind}"
    candidates = (base if i == 1 else base.with_name(f"{base.name}-{i}") for i in range(1, 1000))
    return next(path for path in candidates if not os.path.lexists(path))


def is_run(path: Path) -> bool:
    """Whether a path is the directory of a run, a cross-validation or a training of several seeds."""
    try:
        return (path / "settings.toml").is_file() and (path / "data.json").is_file()
    except OSError:  # a name that is too long, or a directory that may not be searched
        return False


def why_no_run(path: Path) -> str:
    """What is wrong with a path that was given for a run's directory, and what to give instead."""
    if not os.path.lexists(path):
        return "there is no such directory."
    run = next((parent for parent in path.absolute().parents[:2] if is_run(parent)), None)
    if run is not None:  # RUN/model, RUN/checkpoints/step-1000, RUN/results.json
        return f"this is a part of a run. Give the run's directory: {run}."
    if is_file(path) and path.suffix == ".eyebright":
        return "this is an artefact, and here it takes the directory of the run that it was made of."
    return "this is not the directory of a run (no settings.toml and data.json in it)."
