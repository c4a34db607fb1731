"""`eyebright train` with the copy of a run that is kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def check_copy(copy_to: str | None, several: Mapping[str, object]) -> None:
    """Refuse a place where the copy of a run cannot be kept.

    Args:
        copy_to: where it is to be; None for none.
        several: the options that train several runs, by the words of the command.

    Raises:
        EyebrightError: see `check_no_copy`, and one of these options.
    """
    if copy_to is None:
        return
    from eyebright.errors import SettingsError
    from eyebright.run_copy import check_no_copy

    for option, is_given in several.items():
        if is_given:
            raise SettingsError(f"--copy-to {copy_to}: a copy of one run is kept. Leave it out, or {option}.")
    check_no_copy(copy_to)


def run_to_resume(resume: str, run_dir: Path | None, excluded: Mapping[str, object], console: Console | None) -> Path:
    """The directory of a run that is to be gone on with, fetched from its copy if that was given.

    Args:
        resume: the directory, or where the copy is.
        run_dir: where to fetch it to.
        excluded: options that have no meaning here, by the words of the command.
        console: where to say what is done.

    Raises:
        RunError: one of these options.
        EyebrightError: see `fetch_run`.
    """
    from eyebright.errors import RunError
    from eyebright.paths import expanded
    from eyebright.run_copy import fetch_run, is_copy
    from eyebright.training.progress import say

    copied = is_copy(resume)
    for option, is_given in {**excluded, f"--run-dir {run_dir}": run_dir is not None and not copied}.items():
        if is_given:
            raise RunError(f"{option}: has no meaning beside --resume, which goes on with a run as it is.")
    if not copied:
        return expanded(resume)
    path = run_dir or Path("runs") / PurePosixPath(resume).name
    say(console, f"Fetching the run to {path}")
    fetch_run(resume, path)
    return path
