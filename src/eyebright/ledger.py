"""The ledger of looks: how often any run of this user met the test images of some data, by the data's fingerprint.

A run counts its own looks. But who trains forty runs and keeps the one that tests best has looked forty times, each run
once; the ledger, one JSON file in the user's data directory, counts them together:

    {"version": 1, "looks": {"<fingerprint>": {"<path of a run>": 2, …}, …}}

It never stops a run: where it cannot be read or written, a warning says so, and a damaged file is left as it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from eyebright.errors import StorageError
from eyebright.paths import expanded
from eyebright.storage import json_bytes, write_file

ENVIRONMENT_VARIABLE = "EYEBRIGHT_LEDGER"
_SECONDS = 10  # that another process may hold the lock: it writes one small file

Looks = dict[str, dict[str, int]]


class _Record(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    looks: Looks = {}


@dataclass(frozen=True)
class LooksOfData:
    """How often the test images of some data have been met.

    Attributes:
        looks: by all runs together; None where the ledger cannot say.
        runs: how many runs that were; None likewise.
        warning: a sentence for the user where the ledger could not be read or written; else "".
    """

    looks: int | None
    runs: int | None
    warning: str = ""

    def to_dict(self) -> dict[str, int | None]:
        """Its numbers as results.json and `evaluate --json` have them."""
        return {"test_looks_of_data": self.looks, "runs_that_looked": self.runs}

    @property
    def sentence(self) -> str:
        """A sentence for the user: the warning, or the looks where more than one run looked; else ""."""
        if self.warning or self.looks is None or (self.runs or 0) < 2:
            return self.warning
        return f"This test set has been looked at {self.looks:,} times by {self.runs:,} of your runs."


def ledger_path() -> Path:
    """The ledger's file: what EYEBRIGHT_LEDGER names, or `test_looks.json` in the user's data directory."""
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        return expanded(from_environment)
    import platformdirs

    return Path(platformdirs.user_data_dir("eyebright")) / "test_looks.json"


def count_look(fingerprint: str, run: Path) -> LooksOfData:
    """Note a look of a run at the test images of some data; several processes may do so at once.

    Args:
        fingerprint: of the data.
        run: its directory; a run that was moved or copied counts as another.
    """
    from filelock import FileLock, Timeout

    path = ledger_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_SECONDS):
            looks = _read(path)
            of_data = looks.setdefault(fingerprint, {})
            key = str(run.resolve())
            of_data[key] = of_data.get(key, 0) + 1
            write_file(path, json_bytes(_Record(looks=looks).model_dump()))
    except (OSError, StorageError, ValueError, Timeout) as error:
        return _unknown(path, "this look is not counted in it", error)
    return LooksOfData(sum(of_data.values()), len(of_data))


def looks_of_data(fingerprint: str) -> LooksOfData:
    """How often the test images of some data have been met so far, without counting another look."""
    path = ledger_path()
    try:
        of_data = _read(path).get(fingerprint, {})
    except (OSError, ValueError) as error:
        return _unknown(path, "how often the test images were looked at is not known", error)
    return LooksOfData(sum(of_data.values()), len(of_data))


def _read(path: Path) -> Looks:
    """What the ledger holds; nothing where there is none yet.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return _Record.model_validate_json(content).looks
    except ValidationError as error:
        raise ValueError(f"damaged: {error.errors()[0]['msg']}") from error


def _unknown(path: Path, what: str, error: Exception) -> LooksOfData:
    reason = getattr(error, "strerror", None) or str(error)
    return LooksOfData(None, None, f"{path}: the ledger of looks at test images cannot be used, and {what}: {reason}.")
