"""`eyebright train` with the copy of a run that is kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def check_several(copy_to: str | None, several: Mapping[str, object]) -> None:
    """Refuse the copy of several runs.

    Args:
        copy_to: where a copy is to be; None for none.
        several: the options that train several runs, by the words of the command.

    Raises:
        SettingsError: both are given.
    """
    from eyebright.errors import SettingsError

    for option, is_given in several.items():
        if copy_to is not None and is_given:
            raise SettingsError(f"--copy-to {copy_to}: a copy of one run is kept. Leave it out, or {option}.")


def run_to_resume(
    resume: str, run_dir: Path | None, copy_to: str | None, excluded: Mapping[str, object], console: Console | None
) -> Path:
    """The directory of a run that is to be gone on with, fetched from its copy if that was given.

    Args:
        resume: the directory, or where the copy is.
        run_dir: where to fetch it to.
        copy_to: where a copy is to be kept from now on; None for where it is kept already, if anywhere.
        excluded: options that have no meaning here, by the words of the command.
        console: where to say what is done.

    Raises:
        RunError: one of these options.
        EyebrightError: see `fetch_run` and `keep_copy`.
    """
    from eyebright.errors import RunError
    from eyebright.paths import expanded, is_url, whole_path
    from eyebright.run_copy import ARCHIVE, fetch_run, is_copy, keep_copy
    from eyebright.training.progress import say

    resume = resume.removesuffix(f"/{ARCHIVE}")
    copied = is_copy(resume)
    for option, is_given in {**excluded, f"--run-dir {run_dir}": run_dir is not None and not copied}.items():
        if is_given:
            raise RunError(f"{option}: has no meaning beside --resume, which goes on with a run as it is.")
    path = expanded(resume)
    if copied:
        path = run_dir or Path("runs") / Path(resume if is_url(resume) else whole_path(resume)).name
        say(console, f"Fetching the run to {path}")
        fetch_run(resume, path)
    if copy_to is not None:
        keep_copy(path, copy_to)
    return path
