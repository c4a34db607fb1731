"""What a training writes for TensorBoard. It is read with `eyebright tensorboard RUNS`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import hparams

from eyebright.backend import keras
from eyebright.settings import Settings

_BINS = 30  # evenly wide, as TensorFlow's own summaries have them; finer ones cost a sort of all weights
EXAMPLES = 32  # images of the grid
_MAX_PICTURES = 64


class TensorBoardLog:
    """Writes one run's event file, from a thread of its own.

    Args:
        directory: the run's.
        resumed_at: the step from which a run goes on: TensorBoard forgets what an earlier process wrote past it.
    """

    def __init__(self, directory: Path, resumed_at: int) -> None:
        if not resumed_at:  # what a process wrote that was killed before its first checkpoint
            for file in directory.glob("events.out.tfevents.*"):
                file.unlink()
        self._writer = SummaryWriter(str(directory), purge_step=resumed_at or None)

    def describe_run(self, graph: bytes, examples: NDArray[np.uint8], settings: Settings) -> None:
        """What is written once: the graph, some training images, the hyperparameters.

        Args:
            graph: a serialised GraphDef.
            examples: uint8 [n, H, W, C].
            settings: of the run.
        """
        self._writer.file_writer.event_writer.add_event(Event(graph_def=graph))
        self._writer.add_images("examples", examples, 0, dataformats="NHWC")
        values = {key: value for key, value in settings.to_dict().items() if not isinstance(value, list)}
        for summary in hparams(values, {"test_accuracy": 0.0}):
            self._writer.file_writer.add_summary(summary)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Scalars by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def logits(self, step: int, logits: NDArray[np.floating]) -> None:
        """The histogram of a batch's logits."""
        self._writer.add_histogram("logits", logits, step, bins=_BINS)

    def weights(self, step: int, model: keras.Model) -> None:
        """The histogram of each layer's weights, and the first layer's as pictures where it looks at pixels."""
        for variable in model.trainable_variables:
            self._writer.add_histogram(variable.path, variable.numpy().ravel(), step, bins=_BINS)
        pictures = first_layer_pictures(model)
        if pictures is not None:
            self._writer.add_images("first_layer", pictures, step, dataformats="NHWC")

    def close(self) -> None:
        """Write out what is waiting."""
        self._writer.close()


def first_layer_pictures(model: keras.Model) -> NDArray[np.uint8] | None:
    """The first layer's weights as pictures, each stretched to 0 … 255.

    Returns:
        uint8 [units, H, W, C] of at most 64 units, or None where the first layer's weights are no pictures.
    """
    kernel: Any = model.trainable_variables[0].numpy()  # [H·W·C, units]
    height, width, channels = model.input.shape[1:]
    if kernel.shape[0] != height * width * channels:
        return None
    pictures: NDArray[Any] = kernel[:, :_MAX_PICTURES].T.reshape(-1, height, width, channels)
    low: NDArray[Any] = pictures.min(axis=(1, 2, 3), keepdims=True)
    span = np.ptp(pictures, axis=(1, 2, 3), keepdims=True)
    scaled: NDArray[Any] = (pictures - low) / np.where(span > 0, span, 1) * 255
    return scaled.astype(np.uint8)
