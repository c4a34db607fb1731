"""What a run was trained with: versions, processor, threads and what else may change its bits, kept in the run."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import metadata, resources
from pathlib import Path
from typing import Any, NamedTuple

from eyebright.backend import accelerator, available_threads, processes, versions
from eyebright.errors import StorageError
from eyebright.settings import Settings
from eyebright.storage import json_bytes, write_file
from eyebright.training.precision import cpuinfo

FILE = "environment.json"
# Beside what `versions` gives: what decodes pictures, and what finds a transfer model's last layer.
_LIBRARIES = ("h5py", "jaxlib", "ml-dtypes", "pillow", "scikit-learn", "scipy")
# By which of these the processor has, matrix libraries choose their kernels, and with them the order of sums.
_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip
_VARIABLES = ("DNNL_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "TF_", "XLA_")
# Of these: logging, another program's, and what scikit-learn sets at its import.
_NO_MATTER = ("TF_CPP_", "TF_CLI_", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
_UNIMPORTANT = {"command", "settings_sha256", "step"}  # they differ between runs of the same environment
_GIT_SECONDS = 5.0


class Difference(NamedTuple):
    """One thing that is not as it was: its name, what the run recorded, and what is here; None where there is none."""

    what: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.what}: {_words(self.then)} in the run, {_words(self.now)} here"


def environment(settings: Settings) -> dict[str, Any]:
    """Everything here that may change what a run of these settings computes, as JSON has it.

    Args:
        settings: of the run, with its precision and number of threads.
    """
    return {
        "versions": versions() | {name: found for name in _LIBRARIES if (found := _version(name))},
        "eyebright_sha256": _source_sha256(),
        "platform": platform.platform(),
        "processor": cpuinfo().get("model name") or platform.processor() or platform.machine(),
        **({"device": device} if (device := accelerator()) else {}),
        "cpu_flags": sorted({*_FLAGS} & {*(cpuinfo().get("flags") or cpuinfo().get("Features", "")).split()}),
        "processors": available_threads(),
        "threads": settings.threads,
        **({"workers": processes()} if processes() > 1 else {}),
        "precision": settings.precision,
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(_VARIABLES) and not name.startswith(_NO_MATTER)
        },
        "commit": _commit(),
        "command": _command(),
        "settings_sha256": sha256(settings.to_toml()).hexdigest(),
    }


def first_environment(settings: Settings) -> bytes:
    """The record of a run that begins here, as the bytes of its environment.json."""
    return json_bytes({"environments": [{"step": 0, **environment(settings)}]})


def note_environment(run: Path, settings: Settings, step: int) -> None:
    """Add to a run's record that it goes on here from a step, where this is not what it was trained with before.

    Raises:
        StorageError: the record is damaged, or cannot be written.
    """
    known, here = read_environments(run), environment(settings)
    if not known or {**known[-1], **here, "command": None} != {**known[-1], "command": None}:
        write_file(run / FILE, json_bytes({"environments": [*known, {"step": step, **here}]}))


def read_environments(run: Path) -> list[dict[str, Any]]:
    """What a run was trained with, each from its `step` on; none where an earlier Eyebright trained it.

    Raises:
        StorageError: the record is damaged.
    """
    path = run / FILE
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path}: damaged: {error}. Restore it, or remove it: what the run was trained with is then not known."
        ) from error


def _parsed(content: bytes) -> list[dict[str, Any]]:
    environments: list[dict[str, Any]] = json.loads(content)["environments"]
    if not all(isinstance(one["step"], int) and isinstance(one["versions"], dict) for one in environments):
        raise ValueError("a step or versions are missing")
    return environments


def environment_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What differs between two environments, but for the command and the settings.

    >>> [str(one) for one in environment_differences({"versions": {"keras": "3.14"}}, {"versions": {"keras": "3.15"}})]
    ['keras: 3.14 in the run, 3.15 here']
    """
    found: list[Difference] = []
    for key in sorted({*then, *now} - _UNIMPORTANT):
        old, new = then.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += [Difference(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
        elif isinstance(old, list) and isinstance(new, list):  # of flags: only those that one of the two has
            found.append(Difference(key, sorted({*old} - {*new}), sorted({*new} - {*old})))
        else:
            found.append(Difference(key, old, new))
    return [one for one in found if one.then != one.now]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none of these"
    return "none" if value is None else str(value)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@cache
def _source_sha256() -> str:
    """SHA-256 over Eyebright's own files: a version that is worked on does not change its number each time."""
    digest, package = sha256(), Path(str(resources.files("eyebright")))
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.toml")]):
        digest.update(f"{path.relative_to(package).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _commit() -> str | None:
    """The commit of the working directory, with "-dirty" where files differ from it; None outside git."""
    git = shutil.which("git")
    if git is None:
        return None
    # fsmonitor is a program that a repository may name; `--exclude *` leaves out tags.
    command = [git, "-c", "core.fsmonitor=false", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        done = subprocess.run(  # noqa: S603 - no part of it comes from outside
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _command() -> str | None:
    """The `eyebright` command as it was given; None where another program uses Eyebright."""
    called = Path(sys.argv[0])
    of_eyebright = called.stem == "eyebright" or called.parts[-2:] == ("eyebright", "__main__.py")
    return shlex.join(["eyebright", *sys.argv[1:]]) if of_eyebright else None
