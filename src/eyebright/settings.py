"""What a run is made of: every setting once, with its type, its range and its description.

The command line's flags, the presets in `recipes/`, configuration files and a run's `settings.toml` are all views of
the one class here; `presets.py` says how they come together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from eyebright.augmentation import Augmentation, named_policy
from eyebright.picture_options import PictureOptions

Model = Literal["softmax", "fc", "cnn", "transfer"]
Backbone = Literal[
    "auto", "mobilenet-v2", "mobilenet-v3-small", "mobilenet-v3-large", "efficientnet-v2-b0", "efficientnet-v2-b1",
    "efficientnet-v2-s", "resnet-50-v2", "convnext-tiny", "convnext-small",
]  # fmt: skip
Precision = Literal["auto", "float32", "bfloat16", "float64"]
Preprocessing = Literal["mean-image", "per-channel", "whitening", "compact-whitening"]
TestTimeAugmentation = Literal["none", "mirror", "mirror-shift"]
Initialization = Literal["normal", "local"]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid"]
Schedule = Literal["constant", "cosine", "one-cycle", "step", "linear", "triangular"]
Residuals = Literal["last", "all"]
Averaging = Literal["none", "ema", "swa", "look-ahead"]
Optimizer = Literal[
    "sgd", "momentum", "adam", "adamw", "lion", "rmsprop", "nadam", "adamax", "adagrad", "adadelta",
    "adafactor", "lamb", "muon", "ftrl",
]  # fmt: skip
Count = Annotated[int, Field(ge=1, lt=2**31)]  # of anything: it must fit the backend's whole numbers


def as_tuple(value: Any) -> Any:
    """A list of a file, or a flag's "64,256,256"; anything else as it is.

    >>> as_tuple("64, 256"), as_tuple("block_*"), as_tuple("none"), as_tuple([64])
    ((64, 256), ('block_*',), (), (64,))
    """
    if isinstance(value, str):
        parts = [] if value.strip() in ("", "none") else [part.strip() for part in value.split(",")]
        return tuple(int(part) if part.isdecimal() else part for part in parts)
    return tuple(value) if isinstance(value, list) else value


def _not_empty(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value:
        raise PydanticCustomError("empty", "give at least one number")
    return value


Counts = Annotated[tuple[Count, ...], BeforeValidator(as_tuple), AfterValidator(_not_empty)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_tuple)]


class Settings(PictureOptions):
    """Everything that decides what a run computes. Immutable; unknown names and values out of range are errors.

    >>> Settings(epochs=3, hidden_units=64).learning_rate
    0.001
    """

    # What is learnt, from what
    data: str = Field("digits", min_length=1, description="A data set of the catalogue, or the path of one.")
    model: Model = Field(
        "fc",
        description="The kind of model: softmax (one linear layer), fc (fully connected), cnn (convolutional) or "
        "transfer (a network that was trained on other images, with a new last layer).",
    )
    preset: str = Field("default", description="Named settings to start from; other settings override them.")
    validation: float = Field(
        0.1, ge=0, description="Training images kept for validation: a fraction, a number of images, or 0 for none."
    )
    test_fraction: float = Field(
        0.2, gt=0, lt=1, description="Fraction kept for testing where the data set comes without a test split."
    )

    split_seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Decides which images are kept for validation and testing. Apart from --seed, so that runs of "
        "other seeds are tested on the same images.",
    )

    # The model
    preprocessing: Preprocessing = Field(
        "mean-image",
        description="What is done to the pixels first: the training set's mean image is taken off; or each channel's "
        "mean, then divided by its standard deviation; or whitening, which makes all pixels uncorrelated (ZCA), or "
        "compact-whitening, which does it with a smaller image of less colour.",
    )
    whitening_epsilon: float = Field(
        0.1,
        gt=0,
        description="Where the preprocessing is whitening: what is added to each eigenvalue of the pixels' covariance, "
        "as a multiple of their mean. Less whitens fine detail, and its noise, more strongly.",
    )
    layers: Count = Field(1, description="Number of hidden layers.")
    hidden_units: Count = Field(120, description="Number of units of each hidden layer.")
    activation: Activation = Field("relu", description="Activation of the hidden layers.")
    initialization: Initialization = Field(
        "normal",
        description="First weights of the first hidden layer: normal, or local: each unit begins at a random spot.",
    )
    batch_norm: bool = Field(False, description="Batch normalisation before each activation.")
    channels: Counts = Field(
        (64, 256, 256), description="Channels of each block of the convolutional network, one block a number."
    )
    residuals: Residuals = Field(
        "last",
        description="Blocks of the convolutional network with a third convolution, and a connection past it: the last "
        "or all.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of hidden units dropped in each training step.")
    backbone: Backbone = Field(
        "auto",
        description="Of transfer: the network below the new last layer. auto: that of the run in --weights, otherwise "
        "mobilenet-v3-small.",
    )
    weights: str = Field(
        "imagenet",
        min_length=1,
        description="Of transfer: the backbone's first weights: imagenet (downloaded by Keras once), none (drawn from "
        "the seed), a file of weights that Keras saved, or a finished run (or a saved classifier), whose layers below "
        "its last become the backbone.",
    )
    freeze: Names = Field(
        (),
        description="Layers whose weights stay as they are, by name; * stands for any characters (for example "
        "hidden_1, or block_*).",
    )

    # The training images
    augment: Literal["none", "light", "standard", "strong"] = Field(
        "none",
        description="Random changes of the training images: light (shifts), standard (shifts and mirror images), "
        "strong (parts hidden and images mixed, too). Digits and letters should not be mirrored: light, or a file's "
        "[augmentation], which sets single operations.",
    )
    augmentation: Augmentation = Field(
        Augmentation.model_validate({}), description="Single operations, in the place of those that augment names."
    )
    tta: TestTimeAugmentation = Field(
        "none",
        description="Test-time augmentation: classify each image as the mean of views of it: with its mirror image, "
        "and also shifted by a pixel. Becomes part of the saved classifier.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="Weight of each image in the loss: all the same, or balanced: as if all classes had equally many. "
        "An image that is mixed of two counts as much as they do, each by its share.",
    )

    # The objective
    l2: float = Field(0.0, ge=0, description="Factor of the sum of half the squared weights (not biases) in the loss.")
    l1: float = Field(
        0.0,
        ge=0,
        description="Decoupled L1 of the first trained layer: small weights become zero (soft threshold).",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Probability mass spread evenly over all classes.")
    teacher: str | None = Field(
        None,
        min_length=1,
        description="A finished run (or a saved classifier) of the same classes to learn from: its probabilities for "
        "the same augmented images become targets (distillation).",
    )
    distillation_weight: float = Field(
        0.9,
        gt=0,
        le=1,
        description="With a teacher: share of its probabilities in the target; the rest are the labels.",
    )
    distillation_temperature: float = Field(
        1.0,  # the presets' own networks are soft already, by label smoothing and mixed images
        gt=0,
        description="With a teacher: temperature at which student and teacher are compared; higher is softer.",
    )

    # The optimizer
    optimizer: Optimizer = Field("sgd", description="Optimizer; momentum is SGD with Nesterov momentum.")
    learning_rate: float = Field(0.001, gt=0, description="Learning rate (of a schedule, its peak).")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the optimizers momentum and muon.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of weights (not biases).")
    clip_norm: float | None = Field(None, gt=0, description="Largest norm of the gradient; longer ones are scaled.")
    schedule: Schedule = Field("constant", description="How the learning rate changes over the run.")
    warmup_steps: int = Field(0, ge=0, lt=2**31, description="Steps over which the learning rate first rises from 0.")
    averaging: Averaging = Field(
        "none",
        description="Averages of the weights over the steps: ema (exponential moving average), swa (plain mean over "
        "the end of the run) or look-ahead (training goes on from the average). Validated and saved in their place.",
    )
    averaging_decay: float | None = Field(
        None,
        gt=0,
        le=0.999999,
        description="What the average keeps of itself at each update (look-ahead: at the last). If not given, "
        "0.999 for ema and 0.774 for look-ahead.",
    )
    averaging_start: float = Field(0.75, ge=0, lt=1, description="Share of the run after which swa begins to average.")
    averaging_steps: Count | None = Field(
        None, description="Steps between two updates of the average. If not given, 5 for look-ahead, else 1."
    )

    # How long, how much at once
    batch_size: Count = Field(400, description="Images in a step.")
    accumulate: int = Field(
        1,
        ge=1,
        le=64,
        description="Parts that each batch is worked through in, their gradients added up: the same step in less "
        "memory (but that batch normalisation sees, and counts, a part at a time).",
    )
    epochs: Count | None = Field(None, description="Length of the run in passes over the training images.")
    max_steps: Count | None = Field(None, description="Length of the run in steps (instead of --epochs).")
    patience: Count | None = Field(
        None, description="Stop after this many epochs without a better validation accuracy."
    )
    restore_best: bool = Field(False, description="Save the weights that were best on validation, not the last.")

    # The machine and the records
    seed: int = Field(0, ge=0, lt=2**63, description="Decides every random choice.")
    precision: Precision = Field(
        "auto", description="Arithmetic of the matrix products: auto, float32, bfloat16 (float64 for checks)."
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="Threads to compute with; all that there are if not given."
    )
    log_steps: Count = Field(100, description="Steps between two lines of progress.")
    checkpoint_steps: Count = Field(1000, description="Steps between two checkpoints.")
    keep_checkpoints: int = Field(3, ge=2, description="How many of the newest checkpoints to keep.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError("give either epochs or max_steps, one of the two")
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(f"validation = {self.validation}: a number of images must be whole")
        if not self.validation and (self.patience or self.restore_best):
            raise ValueError("patience and restore_best look at validation images, and validation = 0 keeps none")
        if self.batch_size % self.accumulate:
            rule = f"{self.accumulate} parts do not divide a batch of {self.batch_size}; give a divisor of it"
            raise _contradiction("accumulate", rule)
        if self.model == "cnn" and "whitening" in self.preprocessing:
            raise _contradiction("preprocessing", "the cnn model whitens patches in its first layer instead")
        unused = sorted(UNUSED_BY_MODEL[self.model] & self._departures())
        if unused:
            raise _contradiction(unused[0], f"the {self.model} model has no such setting")
        return self

    def __eq__(self, other: object) -> bool:
        # By what was set of `augmentation`, not by its values alone: flip = "none" takes flips out of a policy, where
        # the same by default leaves them in.
        return isinstance(other, Settings) and self.to_dict() == other.to_dict()

    def _departures(self) -> set[str]:
        fields = type(self).model_fields
        return {name for name in self.model_fields_set if getattr(self, name) != fields[name].default}

    @property
    def split(self) -> dict[str, Any]:
        """The arguments of `split_dataset`."""
        return {"validation": self.validation, "test_fraction": self.test_fraction, "seed": self.split_seed}

    def to_toml(self) -> bytes:
        """The settings as a TOML file, sorted by name, that `--config` reads back."""
        import tomli_w

        return tomli_w.dumps(self.to_dict()).encode()

    def to_dict(self) -> dict[str, Any]:
        """Every setting that has a value, by name, sorted; of `augmentation` what was set."""
        values = self.model_dump(exclude_none=True)
        # What is not set there follows from `augment`; written down, the defaults would replace it.
        values["augmentation"] = self.augmentation.model_dump(exclude_unset=True)
        return dict(sorted((key, value) for key, value in values.items() if value not in ((), {})))

    def policy(self, image_shape: tuple[int, int, int]) -> Augmentation:
        """What is done to training images of this shape (height, width, channels).

        Raises:
            SettingsError: an operation that such images don't allow.
        """
        return named_policy(self.augment, image_shape, **self.augmentation.model_dump(exclude_unset=True))


def _contradiction(key: str, rule: str) -> PydanticCustomError:
    """One setting contradicts others; `presets` replaces its name by where it came from."""
    return PydanticCustomError("contradiction", "{key}: {rule}", {"key": key, "rule": rule})


_OF_HIDDEN_LAYERS = frozenset({"layers", "hidden_units", "batch_norm", "initialization"})
_OF_TRANSFER = frozenset({"backbone", "weights"})
UNUSED_BY_MODEL: dict[str, frozenset[str]] = {
    "softmax": _OF_HIDDEN_LAYERS | _OF_TRANSFER | {"activation", "dropout", "channels", "residuals"},
    "fc": _OF_TRANSFER | {"channels", "residuals"},
    "cnn": _OF_HIDDEN_LAYERS | _OF_TRANSFER | {"whitening_epsilon"},
    "transfer": _OF_HIDDEN_LAYERS | {"activation", "channels", "residuals", "preprocessing", "whitening_epsilon"},
}
