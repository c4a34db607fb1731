"""What a run is made of: every setting once, with its type, its range and its description.

The command line's flags, the presets in `recipes/`, configuration files and a run's `settings.toml` are all views of
the one class here; `presets.py` says how they come together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Model = Literal["softmax", "fc"]
Precision = Literal["auto", "float32", "bfloat16", "float64"]
Preprocessing = Literal["mean-image", "per-channel"]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid"]
Schedule = Literal["constant", "cosine", "one-cycle", "step"]
Optimizer = Literal[
    "sgd", "momentum", "adam", "adamw", "lion", "rmsprop", "nadam", "adamax", "adagrad", "adadelta",
    "adafactor", "lamb", "muon", "ftrl",
]  # fmt: skip
Count = Annotated[int, Field(ge=1, lt=2**31)]  # of anything: it must fit the backend's whole numbers


class Settings(BaseModel):
    """Everything that decides what a run computes. Immutable; unknown names and values out of range are errors.

    >>> Settings(epochs=3, hidden_units=64).learning_rate
    0.001
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # What is learnt, from what
    data: str = Field("digits", min_length=1, description="A data set of the catalogue, or the path of one.")
    model: Model = Field("fc", description="The kind of model: softmax (one linear layer) or fc (fully connected).")
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
        description="What is taken from the pixels: the training set's mean image, or each channel's mean (and then "
        "divided by its standard deviation).",
    )
    layers: Count = Field(1, description="Number of hidden layers.")
    hidden_units: Count = Field(120, description="Number of units of each hidden layer.")
    activation: Activation = Field("relu", description="Activation of the hidden layers.")
    batch_norm: bool = Field(False, description="Batch normalisation before each activation.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of hidden units dropped in each training step.")

    # The objective
    l2: float = Field(0.0, ge=0, description="Factor of the sum of half the squared weights (not biases) in the loss.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Probability mass spread evenly over all classes.")

    # The optimizer
    optimizer: Optimizer = Field("sgd", description="Optimizer; momentum is SGD with Nesterov momentum.")
    learning_rate: float = Field(0.001, gt=0, description="Learning rate (of a schedule, its peak).")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum, where the optimizer is momentum.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of weights (not biases).")
    clip_norm: float | None = Field(None, gt=0, description="Largest norm of the gradient; longer ones are scaled.")
    schedule: Schedule = Field("constant", description="How the learning rate changes over the run.")
    warmup_steps: int = Field(0, ge=0, lt=2**31, description="Steps over which the learning rate first rises from 0.")

    # How long, how much at once
    batch_size: Count = Field(400, description="Images in a step.")
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
        unused = sorted(UNUSED_BY_MODEL.get(self.model, frozenset()) & self._departures())
        if unused:
            raise _contradiction(unused[0], f"the {self.model} model has no hidden layers")
        return self

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
        """Every setting that has a value, by name, sorted."""
        return dict(sorted(self.model_dump(exclude_none=True).items()))


def _contradiction(key: str, rule: str) -> PydanticCustomError:
    """One setting contradicts others; `presets` replaces its name by where it came from."""
    return PydanticCustomError("contradiction", "{key}: {rule}", {"key": key, "rule": rule})


UNUSED_BY_MODEL = {"softmax": frozenset({"layers", "hidden_units", "activation", "batch_norm", "dropout"})}
