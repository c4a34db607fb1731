"""What a training writes for TensorBoard. It is read with `eyebright tensorboard RUNS`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from eyebright.backend import BACKEND, keras, tf
from eyebright.errors import StorageError
from eyebright.models import first_layer
from eyebright.settings import Settings
from eyebright.sources import as_text

_BINS = 30  # evenly wide, as TensorFlow's own summaries have them; finer ones cost a sort of all weights
EXAMPLES = 32  # images of the grid
_MAX_PICTURES = 64


class TensorBoardLog:
    """Writes one process's event file of a run.

    Each record is handed to the system at once, so that none is lost where the process is killed, and a full disk is
    noticed here. Where TensorFlow computes its writer does it: a megabyte's checksum takes Python a third of a second.

    Args:
        directory: the run's.
        resumed_at: the step from which a run goes on: TensorBoard forgets what earlier processes wrote of this step
            and later ones.

    Raises:
        StorageError: here and in every method, the file cannot be written.
    """

    def __init__(self, directory: Path, resumed_at: int) -> None:
        if not resumed_at:  # what a process wrote that was killed before its first checkpoint
            for file in directory.glob("events.out.tfevents.*"):
                file.unlink()
        # TensorBoard reads a run's files in the order of their names.
        self._path = directory / f"events.out.tfevents.{time.time():.6f}"
        self._writer: Any = None
        self._write(file_version="brain.Event:2")
        if resumed_at:
            self._write(step=resumed_at, session_log=SessionLog(status=SessionLog.START))

    def describe_run(self, graph: bytes | None, examples: NDArray[np.uint8], settings: Settings) -> None:
        """What is written once: the graph, some training images, the hyperparameters.

        Args:
            graph: a serialised GraphDef, or None for none.
            examples: uint8 [n, H, W, C].
            settings: of the run.
        """
        if graph is not None:
            self._write(graph_def=graph)
        self._write(step=0, summary=summary.image("examples", _apart(examples), dataformats="NHWC"))
        # TensorBoard takes one run's list of hyperparameters for all runs, so each run lists every setting. Those that
        # have no value are numbers, or empty texts.
        given = {key: _hyperparameter(value) for key, value in settings.to_dict().items()}
        texts = dict.fromkeys(("teacher", "freeze", "augmentation"), "")
        every = dict.fromkeys(Settings.model_fields, 0) | texts | given
        experiment, _, _ = summary.hparams(every, {"test_accuracy": 0.0})
        _, start, end = summary.hparams(given, {})
        self._write(step=0, summary=_joined([experiment, start, end]))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Scalars by name."""
        self._write(step=step, summary=_joined([summary.scalar(name, value) for name, value in values.items()]))

    def logits(self, step: int, logits: NDArray[np.floating]) -> None:
        """The histogram of a batch's logits."""
        self._write(step=step, summary=summary.histogram("logits", logits, bins=_BINS))

    def weights(self, step: int, model: keras.Model) -> None:
        """The histogram of each layer's weights, and the first layer's as pictures where it looks at pixels."""
        parts = [  # under one heading, which comes after those of the curves
            summary.histogram(f"weights/{variable.path}", variable.numpy().ravel(), bins=_BINS)
            for variable in model.trainable_variables
        ]
        pictures = first_layer_pictures(model)
        if pictures is not None:
            parts.append(summary.image("first_layer", _apart(pictures), dataformats="NHWC"))
        self._write(step=step, summary=_joined(parts))

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, **content: Any) -> None:
        try:
            if self._writer is None:
                self._writer = _record_writer(self._path)
            self._writer.write(Event(wall_time=time.time(), **content).SerializeToString())
            self._writer.flush()
        except _WRITING_ERRORS as error:
            reason = error.strerror if isinstance(error, OSError) else error.message.rpartition("; ")[2]
            raise StorageError(f"{self._path}: cannot be written: {reason}. The checkpoints are untouched.") from error


_WRITING_ERRORS = (tf.errors.OpError,) if BACKEND == "tensorflow" else (OSError,)


def _record_writer(path: Path) -> Any:
    """What writes records to a file: `write(bytes)`, `flush()` and `close()`."""
    if BACKEND == "tensorflow":
        return tf.io.TFRecordWriter(str(path))
    from tensorboardX.record_writer import RecordWriter

    return RecordWriter(str(path))


def _hyperparameter(value: Any) -> Any:
    """A setting as TensorBoard's table has it: a number or a text."""
    return value if isinstance(value, (bool, int, float, str)) else as_text(value)


def first_layer_pictures(model: keras.Model) -> NDArray[np.uint8] | None:
    """The first layer's weights as pictures, each stretched to 0 … 255.

    Returns:
        uint8 [units, H, W, C] of at most 64 units, or None where the first layer's weights are no pictures.
    """
    kernel: Any = first_layer(model).kernel.numpy()  # [H·W·C, units]
    height, width, channels = model.input.shape[1:]
    if kernel.ndim != 2 or kernel.shape[0] != height * width * channels:
        return None
    pictures: NDArray[Any] = kernel[:, :_MAX_PICTURES].T.reshape(-1, height, width, channels)
    low: NDArray[Any] = pictures.min(axis=(1, 2, 3), keepdims=True)
    span = np.ptp(pictures, axis=(1, 2, 3), keepdims=True)
    scaled: NDArray[Any] = (pictures - low) / np.where(span > 0, span, 1) * 255
    return scaled.astype(np.uint8)


def _apart(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A black line below and to the right of each picture [n, H, W, C], which keeps them apart in a grid."""
    return np.pad(pictures, ((0, 0), (0, 1), (0, 1), (0, 0)))


def _joined(parts: list[Summary]) -> Summary:
    return Summary(value=[value for part in parts for value in part.value])
