"""Keras and TensorFlow, imported in one place: quiet, on TensorFlow's backend, with a plain message where missing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from eyebright.errors import MissingExtraError, RunError

# Must be set before the first import of Keras: the backend cannot change afterwards.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def _quiet_native_stderr() -> Iterator[None]:
    """Drop what native code writes to standard error: TensorFlow logs at its import whatever its log level."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device, not a path
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


try:
    with _quiet_native_stderr():
        import keras
        import tensorflow as tf
except ImportError as error:
    raise MissingExtraError("Training and evaluation", "train") from error

__all__ = ["available_threads", "keras", "set_threads", "tf"]


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
