"""Where in a picture the evidence for a class lies, as a classifier sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.progress import shown
from eyebright.errors import DataError, SettingsError, suggestion
from eyebright.evaluation.attribution import (
    compiled_pixel_gradients,
    integrated_gradients,
    smoothgrad,
)
from eyebright.evaluation.grad_cam import grad_cam, last_maps_shape
from eyebright.evaluation.occlusion import mean_colour, occlusion
from eyebright.evaluation.picture_grid import draw_grid, shortened
from eyebright.models.inference import compiled_logits

# What each method's heat means, for people.
METHODS = {
    "grad-cam": "the last maps, each weighed by its gradient: where what speaks for the class was found, coarsely",
    "smoothgrad": "how much of the class's logit a pixel makes up by the gradient at the picture, averaged over noise",
    "integrated-gradients": "how much of the class's logit a pixel makes up, against a picture of the mean colour",
    "occlusion": "how far the class's logit falls where a window of the mean colour hides a pixel",
}
_FEWEST_CELLS = 3  # a side of the last maps, for Grad-CAM to be what is chosen unasked
_SIDE = 256  # pixels of a drawn picture
_MOST_OPAQUE = 0.75  # of the heat over a picture


@dataclass(frozen=True)
class Explanation:
    """Where the evidence for a class lies in some images.

    Attributes:
        method: of `METHODS`, which says what its heat means.
        classes: int64 [n], the class of each image that was asked for.
        probabilities: float32 [n], of these classes, as the classifier answers.
        heat: float32 [n, H, W], 0 … 1: the largest value of each image is 1; all are 0 where nothing speaks for the
            class. So it compares places of one image, never images.
    """

    method: str
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    heat: NDArray[np.float32]


def explain(
    classifier: Classifier,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64] | None = None,
    method: str | None = None,
    *,
    progress: bool = False,
) -> Explanation:
    """Find where in images the evidence for a class lies.

    What is explained is the logit of the class by one view of each image; of test-time augmentation's other views
    nothing is shown. No method says why: each says by a rule of its own which places count, and they differ.

    Args:
        classifier: any; Grad-CAM is for those with convolutions.
        images: uint8 [n, H, W, C], of its `image_shape`.
        classes: int64 [n], which class of each image; None for the one that the classifier says.
        method: of `METHODS`; None for Grad-CAM where its maps have three cells a side or more, else integrated
            gradients.
        progress: whether to show a progress bar on standard error.

    Raises:
        DataError: images of another shape or type, or a class that there is not.
        SettingsError: an unknown method, or Grad-CAM of a model that it cannot explain.
    """
    method = default_method(classifier) if method is None else method
    check_method(classifier, method)
    answers = classifier.predict(images)  # [n, classes]
    chosen = answers.argmax(axis=1) if classes is None else np.asarray(classes)
    if chosen.shape != (len(images),) or not np.isin(chosen, np.arange(len(classifier.class_names))).all():
        raise DataError(
            f"classes must be one a picture ({len(images)}), each from 0 to {len(classifier.class_names) - 1}."
        )
    of_one = _method(classifier, method)
    heat = np.zeros(images.shape[:3], np.float32)
    numbers = shown(range(len(images)), "Explaining", len(images), lambda _: 1, progress=progress)
    for number in numbers:
        heat[number] = _scaled(of_one(images[number], int(chosen[number])))
    return Explanation(method, chosen, answers[np.arange(len(images)), chosen], heat)


def default_method(classifier: Classifier) -> str:
    """The method that suits a classifier: Grad-CAM where its last maps are fine enough to say where."""
    cells = last_maps_shape(classifier.model)
    return "grad-cam" if cells is not None and min(cells) >= _FEWEST_CELLS else "integrated-gradients"


def check_method(classifier: Classifier, method: str) -> None:
    """Refuse a method that there is not, or that cannot explain a classifier.

    Raises:
        SettingsError: it is refused.
    """
    if method not in METHODS:
        raise SettingsError(f"--method {method}: no such method.{suggestion(method, METHODS)}")
    if method != "grad-cam":
        return
    cells = last_maps_shape(classifier.model)
    if cells is None:
        raise SettingsError(
            f"--method grad-cam: the {classifier.architecture.model} model has no convolutions. Use --method "
            "integrated-gradients or occlusion."
        )
    if max(cells) == 1:
        height, width, _ = classifier.image_shape
        raise SettingsError(
            f"--method grad-cam: of images of {height} × {width} pixels this network's last maps are a single cell, "
            "which says nothing about where. Use --method integrated-gradients or occlusion."
        )


def draw_explanations(
    classifier: Classifier,
    images: NDArray[np.uint8],
    explanation: Explanation,
    names: Sequence[str],
    path: Path,
) -> None:
    """Draw a row for each picture: the picture, and the heat over it; above, the class, its probability, the name.

    Args:
        classifier: whose class names are written.
        images: uint8 [n, H, W, C].
        explanation: of these images.
        names: of the pictures.
        path: of the PNG.

    Raises:
        StorageError: the PNG cannot be written.
    """
    pictures, captions = [], []
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        label = classifier.class_names[explanation.classes[number]]
        pictures += [image, _overlaid(image, explanation.heat[number])]
        caption = f"{label} {explanation.probabilities[number]:.3f}: {name}"
        captions += [shortened(caption, 2 * _SIDE), ""]
    draw_grid(path, pictures, captions, columns=2, side=_SIDE)


def _method(classifier: Classifier, method: str) -> Callable[[NDArray[np.uint8], int], NDArray[np.float64]]:
    """A function of an image [H, W, C] and a class to what speaks for the class, [H, W]."""
    model = classifier.model
    if method == "grad-cam":
        heat_of = grad_cam(model)
        return lambda image, index: heat_of(image[None], np.array([index]))[0]
    if method == "occlusion":
        logits_of = compiled_logits(model)  # once for all images
        return lambda image, index: occlusion(logits_of, image, index)
    gradients = compiled_pixel_gradients(model)
    if method == "smoothgrad":
        return lambda image, index: (smoothgrad(gradients, image, index) * (image - mean_colour(image))).sum(axis=-1)
    return lambda image, index: integrated_gradients(gradients, image, index).sum(axis=-1)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float32]:
    positive = np.maximum(values, 0)
    return (positive / (positive.max() or 1.0)).astype(np.float32)


def _overlaid(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The heat as colours over a grey copy of the image, uint8 [H, W, 3]."""
    from matplotlib import colormaps

    grey = image.mean(axis=-1, keepdims=True)  # [H, W, 1]
    colours = 255 * colormaps["inferno"](heat)[..., :3]  # [H, W, 3]
    opaque = _MOST_OPAQUE * heat[..., None]
    blended: NDArray[np.floating] = grey + opaque * (colours - grey)
    return blended.astype(np.uint8)
