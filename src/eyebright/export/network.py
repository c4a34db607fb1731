"""What a classifier computes, as one function of TensorFlow's that every format is converted from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from eyebright.backend import require_tensorflow, tf
from eyebright.classifier import Classifier
from eyebright.errors import SettingsError, suggestion
from eyebright.metrics.calibration import Calibration
from eyebright.models.inference import viewed
from eyebright.models.transfer import with_features
from eyebright.onnx_network import INPUT, OUTPUTS, Output


def network(
    classifier: Classifier, outputs: tuple[Output, ...] = ("probabilities",), *, wide: bool = True
) -> Callable[[Any], dict[str, Any]]:
    """A classifier from pixels to calibrated probabilities: preprocessing, views and calibration are inside.

    Nothing of training is: no augmentation, no dropout, and batch normalisation by its running statistics.

    Args:
        classifier: whose answers it gives.
        outputs: which of "probabilities" (float32 [N, classes]), "logits" (float32 [N, classes], the mean over the
            classifier's views) and "features" (float32 [N, d], what the last layer reads of each image as it is).
        wide: whether it may compute in float64, which some runtimes cannot, where that decides: see `calibrated`.

    Returns:
        A `tf.function` of `images`, uint8 [N, H, W, C], to its outputs by name, in the order given. It holds on to the
        classifier's variables by its attribute `model`.

    Raises:
        SettingsError: no outputs, or unknown ones.
    """
    require_tensorflow("An export")
    _check(outputs)
    model = with_features(classifier.model) if "features" in outputs else classifier.model

    def answers(images: Any) -> dict[str, Any]:
        logits, _, features = viewed(model, images, classifier.tta)
        made = {"logits": logits, "features": features}
        if "probabilities" in outputs:
            made["probabilities"] = calibrated(classifier.calibration, logits, wide=wide)
        return {name: tf.identity(made[name], name) for name in outputs}

    images = tf.TensorSpec([None, *classifier.image_shape], tf.uint8, INPUT)
    function = tf.function(answers, input_signature=[images], autograph=False)
    function.model = model
    with _inlined():
        function.get_concrete_function()  # traced here, for whoever converts it
    return function  # type: ignore[no-any-return]


@contextlib.contextmanager
def _inlined() -> Iterator[None]:
    """Trace functions within a function as a part of it.

    Keras puts convolutions in groups into a function of its own, which converters cannot look into.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def calibrated(calibration: Calibration, logits: Any, *, wide: bool = True) -> Any:
    """`Calibration.probabilities` in TensorFlow's operations: float32 [N, classes] → float32 [N, classes].

    Curves of an isotonic calibration are followed in float64 where that may be (`wide`): where they are steep, the last
    bits of a probability in float32 would decide.
    """
    if calibration.method == "temperature":
        logits = logits / np.float32(calibration.temperature)
    elif calibration.method == "quadratic":
        plain = tf.nn.log_softmax(logits)
        logits = plain / np.float32(calibration.temperature) - np.float32(calibration.curvature) * plain**2
    elif calibration.method == "vector":
        logits = logits * np.asarray(calibration.scale, np.float32) + np.asarray(calibration.bias, np.float32)
    elif calibration.method == "isotonic":
        columns = tf.unstack(
            tf.nn.softmax(tf.cast(logits, tf.float64 if wide else tf.float32)), calibration.classes, axis=1
        )
        followed = [_followed(curve, column) for curve, column in zip(calibration.curves, columns, strict=True)]
        probabilities = tf.stack(followed, axis=1)
        return tf.cast(probabilities / tf.reduce_sum(probabilities, axis=1, keepdims=True), tf.float32)
    return tf.nn.softmax(logits)


def _followed(curve: Any, column: Any) -> Any:
    """`numpy.interp`, [N] → [N]: the height of the first point, and of each piece as much as lies behind."""
    before, after = np.array(curve.before), np.array(curve.after)
    first, widths, steps = (
        array.astype(column.dtype.as_numpy_dtype) for array in (before[:-1], np.diff(before), np.diff(after))
    )
    shares = tf.clip_by_value((column[:, None] - first) / widths, 0.0, 1.0)  # [N, points - 1]
    return curve.after[0] + tf.reduce_sum(shares * steps, axis=1)


def _check(outputs: tuple[Output, ...]) -> None:
    if not outputs or len(set(outputs)) != len(outputs):
        raise SettingsError(f"outputs {outputs}: name one at least, and none twice, of {', '.join(OUTPUTS)}.")
    for name in outputs:
        if name not in OUTPUTS:
            raise SettingsError(f"output {name!r}: a network has no such output.{suggestion(name, OUTPUTS)}")
