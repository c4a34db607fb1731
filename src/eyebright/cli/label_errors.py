"""What `eyebright check --label-errors` does beside the rest of the check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eyebright.errors import DataError, SettingsError

if TYPE_CHECKING:
    from eyebright.data.audit import Finding
    from eyebright.data.dataset import Dataset
    from eyebright.picture_options import PictureOptions


def check_run_dir(run_dir: Path | None, *, label_errors: bool) -> None:
    """Refuse a directory for runs where none are made.

    Raises:
        SettingsError: it is given without --label-errors.
    """
    if run_dir is not None and not label_errors:
        raise SettingsError(f"--run-dir {run_dir}: has a meaning with --label-errors alone.")


def wrong_labels(
    dataset: Dataset | None, options: PictureOptions, run_dir: Path | None, *, quiet: bool
) -> list[Finding]:
    """Train, and report the labels that are probably wrong, the worst first.

    Args:
        dataset: whose labels are checked; None where no image can be read.
        options: how its pictures were read.
        run_dir: where the cross-validation is kept; None for nowhere.
        quiet: whether to show no progress on standard error.

    Raises:
        DataError: there are too few images.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    if dataset is None:
        raise DataError("Labels cannot be checked: no image can be read. Check without --label-errors.")
    from rich.console import Console

    from eyebright.label_errors import find_label_errors, label_error_findings

    console = None if quiet else Console(stderr=True, emoji=False)
    errors = find_label_errors(dataset, options=options, run_dir=run_dir, console=console)
    return label_error_findings(dataset, errors)
