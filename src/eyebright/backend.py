"""Keras and what computes for it, TensorFlow or JAX, imported in one place: quiet, with a plain message where missing.

A process computes on one of the two: on what the variable KERAS_BACKEND says, else on TensorFlow where it is installed.
`eyebright train --backend` sets that variable before anything here is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import platformdirs

from eyebright.errors import MissingExtraError, RunError, SettingsError
from eyebright.native_output import quiet_native_stderr

BACKENDS = ("tensorflow", "jax")
LEAN = "EYEBRIGHT_LEAN_IMPORTS"  # set by the command line, in whose processes no program of the user's runs
# What TensorFlow and Keras import where it is there, for features that Eyebright does not use (wrappers for
# scikit-learn, data frames, plots, conversion from JAX): two fifths of the time that their import takes.
_NOT_NEEDED = ("jax", "matplotlib", "pandas", "sklearn")


def _chosen() -> str:
    """The backend of this process."""
    name = os.environ.get("KERAS_BACKEND", "").lower()
    if not name:
        lonely_jax = not importlib.util.find_spec("tensorflow") and importlib.util.find_spec("jax")
        return "jax" if lonely_jax else "tensorflow"
    if name not in BACKENDS:
        raise SettingsError(
            f"--backend {name} (or KERAS_BACKEND={name}): Eyebright computes on {' or '.join(BACKENDS)}. Give one of "
            "them."
        )
    return name


BACKEND = _chosen()
# Must be set before the first import of Keras: the backend cannot change afterwards.
os.environ["KERAS_BACKEND"] = BACKEND
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def _lean() -> Iterator[None]:
    """Within this, what is not needed cannot be imported, as if it were not installed. Afterwards it can."""
    modules: dict[str, Any] = sys.modules
    left_out = {name for name in _NOT_NEEDED if os.environ.get(LEAN) and name not in {*sys.modules, BACKEND}}
    for name in left_out:
        modules[name] = None  # which makes Python's import raise ModuleNotFoundError
    try:
        yield
    finally:
        for name in left_out:
            del modules[name]


try:
    with quiet_native_stderr(), _lean():
        _library: Any = importlib.import_module(BACKEND)
        import keras
        import numpy as np
except ModuleNotFoundError as error:
    if error.name not in {"keras", *BACKENDS}:
        raise  # installed, and broken: what Python says about it is the message
    if error.name == "jax":
        raise MissingExtraError("The backend jax", "jax") from error
    raise MissingExtraError("Training and evaluation", "train") from error

if BACKEND == "jax":
    # Where it computes in float32, all of its bits count: on a GPU XLA would round products to 10 bits.
    _library.config.update("jax_default_matmul_precision", "highest")
else:
    # Each run of a process compiles functions of its own, as cross-validation does a fold: no mistake to warn of.
    _library.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

# Whichever of the two it is; the other is None, and what needs it belongs into a file of its own.
tf: Any = _library if BACKEND == "tensorflow" else None
jax: Any = _library if BACKEND == "jax" else None

__all__ = [
    "BACKEND",
    "BACKENDS",
    "accelerator",
    "available_threads",
    "backend_in_words",
    "device_array",
    "device_bytes",
    "jax",
    "keras",
    "processes",
    "quiet_native_stderr",
    "require_tensorflow",
    "set_threads",
    "tf",
    "versions",
]


def versions() -> dict[str, str]:
    """The versions of what computes, by name."""
    return {
        "eyebright": metadata.version("eyebright"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        BACKEND: _library.__version__,
    }


def available_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def set_threads(threads: int) -> None:
    """Compute with this many threads, and with operations that give the same bits each time.

    Raises:
        RunError: TensorFlow already computes with another number of threads in this process; it cannot change. (JAX
            keeps to the number that it began with.)
    """
    if BACKEND == "jax":
        # Read when the processor is first computed on; a GPU's threads are its own.
        os.environ["NPROC"] = str(threads)
        if accelerator():  # for which compiling takes half a minute, and the next run need not do it again
            jax.config.update("jax_compilation_cache_dir", platformdirs.user_cache_dir("eyebright") + "/xla")
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        return
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


def accelerator() -> str | None:
    """The name of the GPU or TPU that this process computes on; None where it computes on the processor."""
    if BACKEND == "jax" and jax.default_backend() != "cpu":
        return str(jax.devices()[0].device_kind)
    return None


def device_bytes() -> int | None:
    """How much memory the GPU or TPU has for this process; None on the processor, or where it does not say."""
    if accelerator() is None:
        return None
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    return None if limit is None else int(limit)


def processes() -> int:
    """How many processes compute together, this one among them."""
    return int(jax.process_count()) if BACKEND == "jax" else 1


def backend_in_words() -> str:
    """What computes here, for people: "tensorflow 2.21.0 on 2 processors", or "jax 0.11.2 on NVIDIA H100"."""
    others = f", one of {processes()} processes that are connected" if processes() > 1 else ""
    return f"{BACKEND} {_library.__version__} on {accelerator() or f'{available_threads()} processors'}{others}"


def require_tensorflow(purpose: str) -> None:
    """Say that something is there on TensorFlow alone.

    Args:
        purpose: what is to be done, as the beginning of a sentence.

    Raises:
        SettingsError: this process computes on another backend.
    """
    if BACKEND != "tensorflow":
        raise SettingsError(f"{purpose} needs the backend tensorflow, and KERAS_BACKEND={BACKEND} is set. Unset it.")


def device_array(array: Any) -> Any:
    """A NumPy array as the backend's, where it computes: in TensorFlow's memory, or on JAX's first device."""
    if BACKEND == "jax":
        return jax.device_put(array)
    with tf.device("CPU"):
        return tf.convert_to_tensor(array)
