"""`Architecture`: what decides a model's shape, and all that is needed to build it again."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from eyebright.settings import Activation, Initialization, Model, Preprocessing, Settings

# "none": the preprocessing has become part of the first layer's weights, see `folding`.
Pixels = Preprocessing | Literal["none"]


class Architecture(BaseModel):
    """The shape of a model. Saved with the classifier instead of code or a framework's own configuration.

    Args of the shape of its data: `image_shape` (height, width, channels) and the number of `classes`; the others are
    as in `Settings`.
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
    dropout: float = 0.0

    @classmethod
    def of(cls, settings: Settings, image_shape: tuple[int, int, int], classes: int) -> Self:
        """The architecture that these settings mean for images of this shape and this many classes."""
        chosen = settings.model_dump(include=set(cls.model_fields) - {"image_shape", "classes"})
        return cls(image_shape=image_shape, classes=classes, **chosen)
