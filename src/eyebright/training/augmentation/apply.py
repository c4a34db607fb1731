"""The pixel work of one step: a pure function of images, targets and the step's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eyebright.augmentation import Augmentation
from eyebright.backend import BACKEND, jax, tf
from eyebright.training.augmentation import colour, geometry, mixing


def _compiled(operation: Callable[..., Any]) -> Callable[..., Any]:
    """One operation as one call of XLA's.

    Together in one call they would be slow, up to twenty times: XLA would fuse an operation into the next, and compute
    a pixel again for each of its neighbours that needs it.
    """
    if BACKEND == "jax":  # where all of a step is one call
        return lambda *arguments: jax.lax.optimization_barrier(operation(*arguments))
    compiled: Callable[..., Any] = tf.function(operation, jit_compile=True, autograph=False)
    return compiled


_flip_and_shift = _compiled(geometry.flip_and_shift)
_warp = _compiled(geometry.warp)
_recolour = _compiled(colour.recolour)
_change_tones = _compiled(colour.change_tones)
_sharpen = _compiled(colour.sharpen)
_erase = _compiled(mixing.erase)
_mix = _compiled(mixing.mix)


def apply(policy: Augmentation, images: Any, targets: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """Change the images of a batch, and their targets where images are mixed.

    To be called in a compiled step.

    Args:
        policy: the one that the parameters were drawn for.
        images: uint8 [B, H, W, C], the shape known when the step is compiled.
        targets: float [B, classes], the probability of each class; of another shape only where nothing is mixed.
        parameters: what `draw` returned, of one step: [B, …] by name.

    Returns:
        Images uint8 [B, H, W, C], and targets as they came.

    Raises:
        ValueError: images are mixed, and targets are not [B, classes].
    """
    p = parameters
    if policy.moves:
        images = _flip_and_shift(images, p.get("flip"), p.get("down"), p.get("right"))
    if policy.warps:
        images = _warp(images, p["places"])
    if policy.recolours:
        images = _recolour(images, p["own_colour"], p["mean_colour"])
    if policy.trivial_augment:
        images = _change_tones(images, p["kept_bits"], p["solarize_from"], p["autocontrast"])
        images = _sharpen(images, p["sharpness"])
    for hidden in ("cutout", "erasing"):
        if getattr(policy, hidden):
            images = _erase(images, p[hidden])
    if policy.mixes:
        images, targets = _mix(images, targets, p["partner"], p.get("share"), p.get("patch"))
    return images, targets
