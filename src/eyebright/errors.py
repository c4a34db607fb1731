"""The errors that Eyebright raises for what its user can mend.

    EyebrightError
    ├── SettingsError        a setting, preset, configuration file or flag
    ├── DataError            a data set or one of its files
    │   ├── ImageError       one picture
    │   └── DownloadError    a download that failed or was not what it should be
    ├── StorageError         a file or directory that could not be written or does not verify
    │   ├── CheckpointError  no checkpoint of a run can be used
    │   └── ClassifierError  a saved classifier that is damaged, missing or of another version
    ├── ExportError          an exported file would not answer as the classifier does
    ├── RunError             a run directory: missing, taken, finished, in use, contradicted
    ├── TrainingError        the loss became infinite or not a number
    ├── ClusterError         a Ray cluster that does not answer, or fails
    ├── MissingExtraError    an optional part of Eyebright is not installed
    └── TrainingInterrupted  Ctrl-C or SIGTERM; the run was saved

Each message says what is wrong, where, and what to do. The command line prints it without a traceback and exits
with `exit_code`; anything else that escapes is a fault of Eyebright's own and exits with 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EyebrightError(Exception):
    """What the user can mend. The message is complete: what, where, what to do."""

    exit_code = 2


class SettingsError(EyebrightError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(EyebrightError):
    """A data set cannot be read, or is not one that can be learnt from."""


class ImageError(DataError):
    """A picture cannot be decoded."""


class DownloadError(DataError):
    """A download did not arrive, or is not the file that the catalogue names."""


class StorageError(EyebrightError):
    """A file could not be written whole, or what was read back does not verify."""


class CheckpointError(StorageError):
    """No checkpoint that can be used."""


class ClassifierError(StorageError):
    """A saved classifier that cannot be loaded."""


class ExportError(EyebrightError):
    """An exported file that would not answer as the classifier does; it is not written."""


class RunError(EyebrightError):
    """A run directory cannot be used in the way that was asked for."""


class TrainingError(EyebrightError):
    """Training cannot go on."""


class ClusterError(EyebrightError):
    """A Ray cluster does not answer, or does not do the work."""


class MissingExtraError(EyebrightError):
    """An optional part is not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(purpose, extra)  # the arguments as they are: pickle calls this with them again

    def __str__(self) -> str:
        purpose, extra = self.args
        return f"{purpose} needs an optional part. Install it with: pip install 'eyebright[{extra}]'"


class TrainingInterrupted(EyebrightError):  # noqa: N818 - the run was saved: no error
    """Training was stopped by a signal and saved; the exit code is 128 + the signal's number, as shells have it."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        message: str = self.args[0]
        return message


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them.

    >>> suggestion("cifr10", ["digits", "cifar10"])
    " Did you mean 'cifar10'?"
    >>> suggestion("zzz", ["digits", "cifar10"])
    ' Known: digits, cifar10.'
    """
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), names, n=1)
    return f" Did you mean {names[near[0]]!r}?" if near else f" Known: {', '.join(names.values())}."
