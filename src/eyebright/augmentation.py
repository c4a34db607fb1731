"""Which operations change the training images, and how strongly: what `--augment` and `[augmentation]` mean."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from eyebright.errors import SettingsError, suggestion

POLICY_NAMES = ("none", "light", "standard", "strong")


class Augmentation(BaseModel):
    """The operations, each off by default. Immutable and hashable, so that a compiled step may depend on it.

    They are done in the order of the fields; rotate, zoom, shear, crop and TrivialAugment's share one interpolation,
    before the colours. What lies outside the image is its reflection, the edge not repeated.

    >>> Augmentation(flip="alternating", shift=2).mixes
    False
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # Places of pixels
    flip: Literal["none", "random", "alternating"] = Field(
        "none",
        description="Mirror images left to right: each with probability ½, or every image in every other epoch "
        "(alternating; which half starts is random). Not for digits, characters or anything else with a sense.",
    )
    shift: NonNegativeInt = Field(0, description="Shift by up to this many pixels in each direction.")
    rotate: float = Field(0.0, ge=0, le=180, description="Rotate by up to this many degrees either way.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Scale by a factor of 1 - zoom to 1 + zoom.")
    shear: float = Field(0.0, ge=0, le=1, description="Shear: each row moves by up to this many times its height.")
    crop: float = Field(
        1.0, gt=0, le=1, description="Random resized crop: the smallest part of the image's area kept; 1 keeps all."
    )

    # Colours
    brightness: float = Field(0.0, ge=0, le=1, description="Brightness times 1 - brightness to 1 + brightness.")
    contrast: float = Field(0.0, ge=0, le=1, description="Contrast times 1 - contrast to 1 + contrast.")
    saturation: float = Field(0.0, ge=0, le=1, description="Saturation times 1 - saturation to 1 + saturation.")
    hue: float = Field(0.0, ge=0, le=0.5, description="Turn hues by up to this part of the colour circle either way.")
    trivial_augment: bool = Field(
        False,
        description="TrivialAugment: each image changed by one operation of a list, with a random strength. Turns "
        "images by up to 135°, so not for digits.",
    )

    # Parts hidden
    cutout: NonNegativeInt = Field(0, description="Hide a square with sides of this many pixels, anywhere.")
    erasing: float = Field(
        0.0, ge=0, le=1, description="Probability that a rectangle of 2 to 33% of an image's area is hidden."
    )

    # Two images in one
    mixup: float = Field(
        0.0, ge=0, le=100, description="MixUp: parameter of the Beta distribution of the share of each image; 0 is off."
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=100,
        description="CutMix: parameter of the Beta distribution of the area of the rectangle from another image; "
        "0 is off. With MixUp, each image is mixed in one of the two ways, each way as often.",
    )
    mix_probability: float = Field(
        1.0, gt=0, le=1, description="Probability that an image is mixed, where MixUp or CutMix is on."
    )

    def to_dict(self) -> dict[str, Any]:
        """The settings that are not off, by name, sorted."""
        return dict(sorted(self.model_dump(exclude_defaults=True).items()))

    @property
    def moves(self) -> bool:
        """Whole pixels move: `flip` or `shift`."""
        return self.flip != "none" or self.shift > 0

    @property
    def warps(self) -> bool:
        """Pixels are interpolated."""
        return bool(self.rotate or self.zoom or self.shear or self.crop < 1 or self.trivial_augment)

    @property
    def recolours(self) -> bool:
        """Colours change."""
        return bool(self.brightness or self.contrast or self.saturation or self.hue or self.trivial_augment)

    @property
    def mixes(self) -> bool:
        """Images, and their targets with them, are mixed with others of their batch."""
        return bool(self.mixup or self.cutmix)


def named_policy(name: str, image_shape: tuple[int, int, int], **changes: Any) -> Augmentation:
    """A policy by name, scaled to the size of the images, with some of its settings replaced.

    - `none`: nothing.
    - `light`: shifts of up to a sixteenth of the image (2 pixels of 32). True to every label, digits' too.
    - `standard`: `light` and alternating flips (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024: each
      image is seen from both sides equally often). A mirrored digit or letter is another or none, so not for those.
    - `strong`: `standard`, a square of a quarter of the image's side hidden, and half the images mixed with another.
      For long runs, where a network would otherwise learn the training images by heart. TrivialAugment is no part of
      it: in the few epochs that a CPU has time for, it costs more than it gives.

    Args:
        name: one of `POLICY_NAMES`.
        image_shape: (height, width, channels).
        changes: settings of `Augmentation` by name.

    Raises:
        SettingsError: an unknown name, a value out of range, or an operation that images of this shape don't allow.

    >>> named_policy("light", (32, 32, 3), cutout=8).to_dict()
    {'cutout': 8, 'shift': 2}
    """
    if name not in POLICY_NAMES:
        raise SettingsError(f"augmentation policy {name}: no such policy.{suggestion(name, POLICY_NAMES)}")
    settings: dict[str, Any] = {}
    side = min(image_shape[:2])
    if name != "none":
        settings["shift"] = min(-(-side // 16), side - 1)
    if name in ("standard", "strong"):
        settings["flip"] = "alternating"
    if name == "strong":
        settings.update(cutout=side // 4, mixup=0.2, cutmix=1.0, mix_probability=0.5)
    settings |= changes
    if not (settings.get("mixup") or settings.get("cutmix")) and "mix_probability" not in changes:
        settings.pop("mix_probability", None)  # of a policy whose mixing was taken out
    try:
        policy = Augmentation(**settings)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from error
    check_policy(policy, image_shape)
    return policy


def check_policy(policy: Augmentation, image_shape: tuple[int, int, int]) -> None:
    """Check that images of this shape (height, width, channels) allow every operation.

    Raises:
        SettingsError: naming the setting and the shape.
    """
    height, width, channels = image_shape
    side = min(height, width)
    images = f"these images are {height} × {width} × {channels}"
    if policy.shift >= side:
        allowed = f"Give at most {side - 1}." if side > 1 else "Leave it out."
        raise SettingsError(
            f"augmentation.shift = {policy.shift}: what a shift uncovers is reflected, so it must be smaller than the "
            f"image, and {images}. {allowed}"
        )
    if policy.cutout > side:
        raise SettingsError(
            f"augmentation.cutout = {policy.cutout}: the square must not be larger than the image, and {images}. "
            f"Give at most {side}."
        )
    if policy.mix_probability < 1 and not policy.mixes:
        raise SettingsError(
            f"augmentation.mix_probability = {policy.mix_probability}: nothing is mixed. Give mixup or cutmix, too."
        )
    for name in ("saturation", "hue"):
        if channels == 1 and getattr(policy, name):
            raise SettingsError(
                f"augmentation.{name} = {getattr(policy, name)}: grey images have no colours to change, and {images}. "
                "Leave it out; brightness and contrast work."
            )


def _explain(problem: Any) -> str:
    key = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"augmentation.{key}: unknown setting.{suggestion(key, Augmentation.model_fields)}"
    return f"augmentation.{key} = {problem['input']}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
