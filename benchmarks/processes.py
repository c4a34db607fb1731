"""Runs one command as a process group of its own and measures it from outside."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, NamedTuple

_SAMPLED_EVERY = 0.05  # seconds
_LISTED_EVERY = 20  # samples
_ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Measured(NamedTuple):
    """What a process printed and took.

    Attributes:
        last_line: of its standard output.
        wall_seconds: from its start to its end, interpreter and imports included.
        peak_gb: the most RssAnon (memory that no file backs) seen, of it and those that it started, in 10⁹ bytes; nan
            where there is no /proc.
    """

    last_line: str
    wall_seconds: float
    peak_gb: float


def run_measured(command: list[str], directory: str, *, timeout: float = 900.0) -> Measured:
    """Run a command to its end, in a directory.

    Raises:
        SystemExit: it failed or took longer than `timeout` seconds; its last words are in the message.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=os.environ | _ENVIRONMENT,
            start_new_session=True,
        )
        memory = _MemorySampler(process.pid)
        memory.start()
        try:
            code = process.wait(timeout)
            wall_seconds = time.perf_counter() - started
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{' '.join(command)}: still running after {timeout:.0f} s") from None
        finally:
            _kill_group(process)
            memory.stop()
        if code != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {code}\n{_content(errors)[-2000:]}")
        return Measured(_content(output).rstrip().rpartition("\n")[2], wall_seconds, memory.peak_gb)


class _MemorySampler(threading.Thread):
    """The most memory that a process has, together with those of its session: those that it started."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._session = pid
        self._done = threading.Event()
        self._peak_kib = 0

    def run(self) -> None:
        sample = 0
        while not self._done.wait(_SAMPLED_EVERY):
            if sample % _LISTED_EVERY == 0:  # to look through all processes takes longer than to sample some
                pids = _processes_of(self._session)
            sample += 1
            self._peak_kib = max(self._peak_kib, sum(map(_anonymous_kib, pids)))

    def stop(self) -> None:
        self._done.set()
        self.join()

    @property
    def peak_gb(self) -> float:
        return self._peak_kib * 1024 / 1e9 if self._peak_kib else math.nan


def _processes_of(session: int) -> list[int]:
    found = [session]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session and int(path.parent.name) != session:
            found.append(int(path.parent.name))
    return found


def _anonymous_kib(pid: int) -> int:
    """RssAnon; 0 where the process has ended, or this is no Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started: nothing may still run beside the next one."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
