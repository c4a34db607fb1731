"""The connection to a Ray cluster: one that runs, at an address, or one that is started on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from eyebright.errors import ClusterError, DataError, EyebrightError, MissingExtraError, SettingsError
from eyebright.native_output import quiet_native_stderr

AUTO, LOCAL = "auto", "local"
ANSWERS_WITHIN = 10.0  # seconds
_HOST_AND_PORT = re.compile(r"(?P<host>[^\s/:]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")
_NONE_RUNS = 3  # exit code of the trial
# Tried in a process that can be ended, as a connection that waits for a cluster cannot.
_TRIAL = f"""
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
except Exception as error:
    print(" ".join(str(error).split()), file=sys.stderr)
    sys.exit({_NONE_RUNS} if isinstance(error, ConnectionError) else 1)
"""


def check_address(address: str) -> None:
    """Refuse what is no address of a cluster, and all of them where Ray is not installed.

    Raises:
        SettingsError: it is neither auto, local nor HOST:PORT.
        MissingExtraError: Ray is not here.
    """
    if address not in (AUTO, LOCAL) and _HOST_AND_PORT.fullmatch(address) is None:
        raise SettingsError(f"--ray {address}: give auto, local or HOST:PORT, as `ray start` prints it.")
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("Work on a Ray cluster", "ray")


@contextlib.contextmanager
def connected(address: str, console: Console | None = None) -> Iterator[None]:
    """Be connected to a Ray cluster; at the end the connection, or the cluster that was started for it, is gone.

    Ray's workers find the code, the data and the results by the paths that this process has: on a cluster of several
    machines these are on a file system that all of them share, and Eyebright is installed on each.

    Args:
        address: `auto` for the cluster that runs on this machine, or that RAY_ADDRESS names, or where there is none
            one that is started here; `local` for that in any case; or HOST:PORT of a cluster that this machine is
            part of.
        console: where to say that one is started; None says nothing.

    Raises:
        SettingsError: this is no address.
        MissingExtraError: Ray is not here.
        ClusterError: nothing answers there within ten seconds, or what answers is no cluster that we can work with.
    """
    check_address(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it says beside is in its own logs
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    found = _found(address)
    # A secret of its own, which nobody else on the network has, and which need not be kept. Ray looks at it but once.
    if found is None and "ray" not in sys.modules:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    if found is None and console is not None:
        console.print("Starting Ray on this machine, for as long as this command runs", highlight=False)
    import ray

    try:
        with quiet_native_stderr():
            ray.init(address=found or LOCAL, include_dashboard=False if found is None else None, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"--ray {address}: Ray does not start or connect: {_in_one_line(error)}") from error
    try:
        with _own_errors():
            yield
    finally:
        ray.shutdown()


def processors() -> list[int]:
    """How many processors each machine of the cluster has that this process is connected to, as Ray counts them."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    counted = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return [one for one in counted if one]


def enter(where: Path, needed: Path) -> None:
    """In a worker: go where the paths of the process that started it all are relative to.

    Args:
        where: that directory.
        needed: another one that all machines must see.

    Raises:
        DataError: one of the two is not here.
    """
    machine = socket.gethostname()
    try:
        os.chdir(where)
    except OSError as error:
        raise DataError(
            f"{where}: not on {machine}, a machine of the cluster: {error.strerror}. Begin in a directory that all its "
            "machines share."
        ) from error
    if not needed.is_dir():
        raise DataError(f"{needed}: not on {machine}, a machine of the cluster. Give one that all its machines share.")


def _found(address: str) -> str | None:
    """The address of a cluster that answers; None where one is to be started here.

    Raises:
        ClusterError: nothing answers there.
    """
    named = os.environ.get("RAY_ADDRESS") if address == AUTO else address
    if named == LOCAL:
        return None
    named = named or AUTO
    end = time.monotonic() + ANSWERS_WITHIN
    if (match := _HOST_AND_PORT.fullmatch(named)) is not None:
        try:
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), ANSWERS_WITHIN).close()
        except (OSError, OverflowError) as error:
            raise _no_answer(named, str(getattr(error, "strerror", None) or error)) from error
    if _has_token():  # Ray would leave it out
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    command = [sys.executable, "-c", _TRIAL, named]
    environment = {**os.environ, "RAY_BACKEND_LOG_LEVEL": "warning"}  # where it is said that a secret is wrong
    try:
        tried = subprocess.run(  # noqa: S603 - our own interpreter
            command, capture_output=True, encoding="utf-8", errors="replace", env=environment, check=False,
            timeout=max(1.0, end - time.monotonic()),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        why = f"no cluster of Ray answered within {ANSWERS_WITHIN:g} s"
        if "InvalidAuthToken" in str(error.stderr):
            why = "the cluster has another secret: give it by RAY_AUTH_TOKEN, or in ~/.ray/auth_token"
        raise _no_answer(named, why) from error
    if tried.returncode == 0:
        return named
    if named == AUTO and tried.returncode == _NONE_RUNS:
        return None
    raise _no_answer(named, (tried.stderr.strip().splitlines() or ["no cluster of Ray answered"])[-1])


def _has_token() -> bool:
    """Whether there is a secret for clusters, where Ray keeps it."""
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    return bool(given) or (Path.home() / ".ray" / "auth_token").is_file()


def _no_answer(address: str, why: str) -> ClusterError:
    return ClusterError(
        f"--ray {address}: {why.rstrip('.')}. Start Ray there (ray start --head), join this machine to it (ray start "
        "--address HOST:PORT), or give local to use this machine alone."
    )


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """Say in our own words what went wrong on the cluster.

    Raises:
        EyebrightError: what a worker raised.
        ClusterError: the cluster is gone, or has no room for the work.
    """
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, EyebrightError):
            raise error.cause from None
        raise
    except RayError as error:
        raise ClusterError(f"The Ray cluster failed: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    """What Ray says, without the traceback that may follow it."""
    return " ".join(str(error).partition("Traceback")[0].split()) or type(error).__name__
