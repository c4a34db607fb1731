"""A model's logits over many images, in batches, each image seen once or in several views, see `eyebright.views`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import BACKEND, keras, tf
from eyebright.compilation import Compiled
from eyebright.data.progress import shown
from eyebright.settings import TestTimeAugmentation
from eyebright.views import VIEW_WEIGHTS, Answers, Images, Logits, ViewedLogits, batches

LogitsFunction = Callable[[Images, NDArray[np.int64]], Logits]


class ViewedLogitsFunction(Protocol):
    """Logits of the images that indices name, with a progress bar on standard error where that is asked for."""

    def __call__(self, images: Images, indices: NDArray[np.int64], progress: bool = False) -> ViewedLogits:
        """Both means [n, classes] of the images uint8 [N, H, W, C] in `indices` int64 [n]."""


def compiled_logits(model: keras.Model) -> LogitsFunction:
    """Compile a model for inference on one view of each image.

    Returns:
        A function of images (uint8 [N, H, W, C], may be memory-mapped) and indices (int64 [n]) to the logits
        [n, classes] of those images, the last partial batch included.
    """
    viewed = compiled_viewed_logits(model, "none")
    return lambda images, indices: viewed(images, indices).one_view


def outputs(model: keras.Model) -> Callable[[NDArray[np.uint8]], Any]:
    """A function of images, uint8 [B, H, W, C], to what a model makes of them in inference, a few times over."""
    if BACKEND == "jax":  # which would compile each operation by itself
        compute = _on_jax(lambda images: (model(images, training=False),), model)
        return lambda images: compute(images)[0]
    return lambda images: model(images, training=False)


def compiled_viewed_logits(model: keras.Model, tta: TestTimeAugmentation) -> ViewedLogitsFunction:
    """Compile a model for inference with test-time augmentation: one compiled call a batch makes the views and all.

    Returns:
        A function of images and indices, as `compiled_logits` gives it, but to both the mean over the views and the
        logits of the images as they are, which it costs nothing to have besides.
    """
    in_batches = _compiled(lambda images: viewed(model, images, tta)[:2], model, tta)

    def logits(images: Images, indices: NDArray[np.int64], progress: bool = False) -> ViewedLogits:
        return ViewedLogits(*in_batches(images, indices, progress))

    return logits


def compiled_answers(model: keras.Model, tta: TestTimeAugmentation) -> Callable[[Images, NDArray[np.int64]], Answers]:
    """Compile a model that gives logits and features for inference, as `compiled_viewed_logits` does it for logits.

    Args:
        model: uint8 [B, H, W, C] → (logits [B, classes], features [B, d]).
        tta: the views.
    """

    def of_batch(images: Any) -> tuple[Any, Any]:
        mean, _, features = viewed(model, images, tta)
        return mean, features

    in_batches = _compiled(of_batch, model, tta)
    return lambda images, indices: Answers(*in_batches(images, indices, False))


def _compiled(
    of_batch: Callable[[Any], tuple[Any, Any]], model: keras.Model, tta: TestTimeAugmentation
) -> Callable[[Images, NDArray[np.int64], bool], tuple[NDArray[np.floating], ...]]:
    """A function of a batch, compiled, and called batch by batch: its two outputs for all images."""
    compiled = _on_jax(of_batch, model) if BACKEND == "jax" else _on_tensorflow(of_batch, model)

    def in_batches(images: Images, indices: NDArray[np.int64], progress: bool) -> tuple[NDArray[np.floating], ...]:
        parts = shown(batches(indices, model.input.shape[1:], tta), "Images", len(indices), len, progress=progress)
        outputs = zip(*(compiled(images[batch]) for batch in parts), strict=True)
        return tuple(np.concatenate([np.asarray(part) for part in of_parts]) for of_parts in outputs)

    return in_batches


def _on_tensorflow(of_batch: Callable[[Any], Any], model: keras.Model) -> Callable[[Any], Any]:
    compiled: Callable[[Any], Any] = tf.function(
        of_batch,
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.uint8)],
        autograph=False,  # nothing in it depends on a tensor's value; to look for it takes a tenth of a second
    )
    return compiled


def _on_jax(of_batch: Callable[[Any], Any], model: keras.Model) -> Callable[[Any], Any]:
    """The same, compiled for batches of powers of two, to which the others are filled up: XLA compiles for a shape."""
    variables = model.variables

    def stateless(values: list[Any], images: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return of_batch(images)

    compiled = Compiled(stateless)

    def filled(images: NDArray[np.uint8]) -> Any:
        full = np.zeros((1 << (len(images) - 1).bit_length(), *images.shape[1:]), np.uint8)
        full[: len(images)] = images
        return tuple(part[: len(images)] for part in compiled([variable.value for variable in variables], full))

    return filled


def viewed(model: keras.Model, images: Any, tta: TestTimeAugmentation) -> tuple[Any, Any, Any]:
    """The mean over the views and the first view's logits, [B, classes], of images uint8 [B, H, W, C].

    Third are the first view's features, [B, d], where the model gives features, else None.
    """
    views = _views(images, tta)
    # All views go through the model as one batch: a graph with one model in it is built in a third of the time.
    # `training=False` is said here once: without it dropout and batch statistics would stay on.
    outputs = model(keras.ops.concatenate(views), training=False)  # [views · B, …]
    logits, features = outputs if isinstance(outputs, list | tuple) else (outputs, None)
    if features is not None:
        features = features[: keras.ops.shape(images)[0]]
    logits = keras.ops.reshape(logits, (len(views), -1, logits.shape[-1]))  # [views, B, classes]
    weights = keras.ops.reshape(keras.ops.convert_to_tensor(VIEW_WEIGHTS[tta], logits.dtype), (-1, 1, 1))
    return keras.ops.sum(weights * logits, axis=0), logits[0], features


def _views(images: Any, tta: TestTimeAugmentation) -> list[Any]:
    """The views of images [B, H, W, C], each of that shape and type; the first are the images themselves.

    Along a side of one pixel there is nothing to exchange and nothing to reflect: a view stays there where it is.
    """
    if tta == "none":
        return [images]
    views = [images]
    if tta == "mirror-shift":
        height, width = images.shape[1:3]
        y, x = min(1, height - 1), min(1, width - 1)
        padded = keras.ops.pad(images, ((0, 0), (y, y), (x, x), (0, 0)), mode="reflect")
        views += [padded[:, :height, :width], padded[:, 2 * y :, 2 * x :]]
    return views + [view[:, :, ::-1] for view in views]  # a slice: what exports it has no better way to turn one round
