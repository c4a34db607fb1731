"""`Architecture`: what decides a model's shape, and all that is needed to build it again."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from eyebright.settings import Activation, Backbone, Initialization, Model, Preprocessing, Residuals, Settings

DEFAULT_BACKBONE: Backbone = "mobilenet-v3-small"

# "none": the preprocessing has become part of the first layer's weights, see `folding`.
Pixels = Preprocessing | Literal["none"]


class Architecture(BaseModel):
    """The shape of a model. Saved with the classifier instead of code or a framework's own configuration.

    Args of the shape of its data: `image_shape` (height, width, channels) and the number of `classes`. `backbone` is of
    a transfer model alone: the name of a network of Keras's, or the architecture of one of our own, whose classes play
    no part. The others are as in `Settings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Model
    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: int = Field(ge=2)
    preprocessing: Pixels
    whitening_epsilon: float = 0.1
    initialization: Initialization = "normal"
    layers: PositiveInt = 1
    hidden_units: PositiveInt = 120
    activation: Activation = "relu"
    batch_norm: bool = False
    channels: tuple[PositiveInt, ...] = (64, 256, 256)
    residuals: Residuals = "last"
    dropout: float = 0.0
    backbone: Backbone | Architecture | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own = self.backbone if isinstance(self.backbone, Architecture) else None
        if (self.backbone is None) == (self.model == "transfer") or self.backbone == "auto":
            raise ValueError("backbone: a transfer model has one, by its name, and no other model has")
        if own is not None and (own.model not in ("fc", "cnn") or own.image_shape != self.image_shape):
            raise ValueError("backbone: it must be an fc or a cnn model of images of the same shape")
        return self

    @classmethod
    def of(
        cls,
        settings: Settings,
        image_shape: tuple[int, int, int],
        classes: int,
        backbone: Backbone | Architecture | None = None,
    ) -> Self:
        """The architecture that these settings mean for images of this shape and this many classes.

        Args:
            settings: of the run.
            image_shape: (height, width, channels).
            classes: how many.
            backbone: of a transfer model, where its weights decide it; the settings do otherwise.
        """
        chosen: dict[str, Any] = settings.model_dump(include=set(cls.model_fields) - {"image_shape", "classes"})
        named = DEFAULT_BACKBONE if settings.backbone == "auto" else settings.backbone
        chosen["backbone"] = None
        if settings.model == "transfer":  # whose backbone has a preprocessing of its own
            chosen |= {"backbone": backbone or named, "preprocessing": "none"}
        return cls(image_shape=image_shape, classes=classes, **chosen)
