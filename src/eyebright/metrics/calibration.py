"""How logits become probabilities that are right as often as they say; `calibration_fit` finds out how."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from eyebright.errors import DataError, SettingsError, suggestion

CalibrationMethod = Literal["none", "temperature", "quadratic", "vector", "isotonic"]
DEFAULT_METHOD: CalibrationMethod = "temperature"
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 0.01, 100.0

Numbers = tuple[FiniteFloat, ...]


class Curve(BaseModel):
    """A function of a probability, linear between its points and constant beyond them.

    Attributes:
        before: the probabilities of the points, rising.
        after: what becomes of them, in (0, 1), never falling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Numbers = Field(min_length=1)
    after: Numbers = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        rising = len(self.before) == len(self.after) and all(a < b for a, b in pairwise(self.before))
        if not (rising and all(a <= b for a, b in pairwise(self.after)) and 0 < self.after[0] <= self.after[-1] < 1):
            raise ValueError("a curve must rise, and stay within 0 and 1")
        return self


class Calibration(BaseModel):
    """How logits become probabilities. Immutable; `Calibration()` is the softmax alone.

    Attributes:
        method: "none": softmax(z). "temperature": softmax(z / T) (Guo et al., "On Calibration of Modern Neural
            Networks", 2017). "quadratic": softmax(l / T - curvature · l²) of l = log softmax(z), which makes sure
            answers surer than unsure ones. In both the order of the classes stays as it is (on such functions see
            Rahimi et al., "Intra Order-preserving Functions", 2020). "vector": softmax(scale · z + bias), with numbers
            for each class (Guo et al.). "isotonic": a rising curve for each class's softmax(z), and the sum brought to
            1 (Zadrozny and Elkan, 2002). The last two can change which class comes first.
        temperature: T, within `LEAST_TEMPERATURE` and `LARGEST_TEMPERATURE`, for "temperature" and "quadratic".
        curvature: at least 0, for "quadratic".
        scale: of each class, for "vector".
        bias: likewise.
        curves: of each class, for "isotonic".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: CalibrationMethod = "none"
    temperature: Annotated[float, Field(ge=LEAST_TEMPERATURE, le=LARGEST_TEMPERATURE)] = 1.0
    curvature: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    scale: Numbers = ()
    bias: Numbers = ()
    curves: tuple[Curve, ...] = ()

    @property
    def classes(self) -> int | None:
        """How many classes it is for; None for any number."""
        return {"vector": len(self.scale), "isotonic": len(self.curves)}.get(self.method)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.scale) != len(self.bias) or self.classes == 0:
            raise ValueError(f"calibration {self.method!r} lacks numbers for its classes")
        return self

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities.

        Args:
            logits: float [n, classes].

        Returns:
            float64 [n, classes], each row summing to 1.

        Raises:
            DataError: a logit is not finite.

        >>> Calibration(method="temperature", temperature=2.0).probabilities(np.log([[4.0, 1.0]])).round(3).tolist()
        [[0.667, 0.333]]
        """
        return np.exp(self.log_probabilities(logits))

    def log_probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """The natural logarithms of the probabilities, float64 [n, classes]: finite also where these are 0 and 1.

        Their softmax is the probabilities, so that whatever takes logits takes them.
        """
        check_finite(logits)
        wide = logits.astype(np.float64)  # [n, classes]
        if self.method == "temperature":
            wide = wide / self.temperature
        elif self.method == "quadratic":
            plain = _log_softmax(wide)
            wide = plain / self.temperature - self.curvature * plain**2
        elif self.method == "vector":
            wide = wide * np.array(self.scale) + np.array(self.bias)
        elif self.method == "isotonic":
            columns = zip(np.exp(_log_softmax(wide)).T, self.curves, strict=True)
            wide = np.log([np.interp(column, curve.before, curve.after) for column, curve in columns]).T
        return _log_softmax(wide)

    def to_dict(self) -> dict[str, Any]:
        """The method and its own parameters, as JSON has them."""
        own = {
            "temperature": {"temperature"},
            "quadratic": {"temperature", "curvature"},
            "vector": {"scale", "bias"},
            "isotonic": {"curves"},
        }
        return self.model_dump(mode="json", include={"method", *own.get(self.method, ())})

    def summary(self) -> dict[str, Any]:
        """The same without curves, which are long."""
        return {name: value for name, value in self.to_dict().items() if name != "curves"}


def check_method(method: str) -> None:
    """Refuse an unknown method.

    Raises:
        SettingsError: naming the nearest known one.
    """
    known = get_args(CalibrationMethod)
    if method not in known:
        raise SettingsError(f"--method {method}: no such calibration.{suggestion(method, known)}")


def check_finite(logits: NDArray[np.floating]) -> None:
    """Refuse logits that are infinite or not a number.

    Raises:
        DataError: saying of which image and what to do.
    """
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise DataError(
            f"The classifier's logits of image {int(bad[0])} are not finite ({bad.size:,} of {len(logits):,} images): "
            "its weights have become too large. Train anew with a lower --learning-rate or with --clip-norm 1."
        )


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """By NumPy alone: who only predicts needs no SciPy."""
    shifted: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    log_sums: NDArray[np.float64] = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - log_sums
