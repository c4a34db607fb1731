"""Keras and TensorFlow, imported in one place: quiet, on TensorFlow's backend, with a plain message where missing."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata

from eyebright.errors import MissingExtraError, RunError

# Must be set before the first import of Keras: the backend cannot change afterwards.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Hold back what native code writes to standard error; show it only where what is done meanwhile fails.

    TensorFlow logs at its import and in its converter whatever its log level.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed: nobody reads it, and nothing else may be opened as number 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


try:
    with quiet_native_stderr():
        import keras
        import numpy as np
        import tensorflow as tf
except ModuleNotFoundError as error:
    if error.name not in {"keras", "tensorflow"}:
        raise  # installed, and broken: what Python says about it is the message
    raise MissingExtraError("Training and evaluation", "train") from error

# Each run of a process compiles functions of its own, as cross-validation does a fold: that is no mistake to warn of.
tf.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

__all__ = ["available_threads", "keras", "quiet_native_stderr", "set_threads", "tf", "versions"]


def versions() -> dict[str, str]:
    """The versions of what computes, by name."""
    return {
        "eyebright": metadata.version("eyebright"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def available_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def set_threads(threads: int) -> None:
    """Compute with this many threads, and with operations that give the same bits each time.

    Raises:
        RunError: TensorFlow already computes with another number of threads in this process; it cannot change.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        now = tf.config.threading.get_intra_op_parallelism_threads() or available_threads()
        if now != threads:
            raise RunError(
                f"--threads {threads}: this process already computes with {now} threads, which cannot change. "
                "Start a new process."
            ) from error
    tf.config.experimental.enable_op_determinism()
