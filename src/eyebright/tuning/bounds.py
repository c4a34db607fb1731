"""The bounds of one setting in a search space: a range or choices, perhaps under a condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)  # fmt: skip
from pydantic_core import PydanticCustomError

from eyebright.errors import SettingsError, suggestion
from eyebright.picture_options import PictureOptions
from eyebright.settings import Settings
from eyebright.sources import Layer, as_text, validated

Number = StrictInt | StrictFloat
Value = StrictBool | StrictInt | StrictFloat | StrictStr
_STEP_ERROR = 1e-6  # of a step, that a range may depart from a whole number of them

# What all trials of a study must have in common, and why.
_FIXED = {
    **dict.fromkeys(
        {"data", "validation", "test_fraction", "split_seed", *PictureOptions.model_fields},
        "all trials must be judged on the same images",
    ),
    **dict.fromkeys(("model", "preset"), "a study searches around one preset"),
    **dict.fromkeys(("teacher", "backbone", "weights"), "all trials begin with the same trained networks"),
    **dict.fromkeys(
        ("seed", "threads", "log_steps", "checkpoint_steps", "keep_checkpoints"), "it makes no classifier better"
    ),
    "tta": "validation during a run looks at one view",
    "augmentation": "single operations cannot be searched; search augment",
}


class Searched(BaseModel):
    """The bounds of one setting: a range from `low` to `high`, or `choices`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Number | None = None
    high: Number | None = None
    log: StrictBool = False
    step: Number | None = None
    choices: tuple[Value, ...] | None = None
    when: dict[str, tuple[Value, ...]] = {}

    @field_validator("choices", mode="before")
    @classmethod
    def _lists_as_text(cls, value: Any) -> Any:
        """A choice that is a list (of channels, say) as its flag takes it, which study and table can hold."""
        return tuple(as_text(one) if isinstance(one, list) else one for one in value) if _is_list(value) else value

    @field_validator("when", mode="before")
    @classmethod
    def _single_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: tuple(one) if _is_list(one) else (one,) for name, one in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.choices is None:
            self._check_range()
        elif {"low", "high", "log", "step"} & self.model_fields_set:
            raise _fault("choices", "excludes low, high, log and step; give a range or choices")
        elif not self.choices:
            raise _fault("choices", "is empty; give at least one value")
        elif len({repr(one) for one in self.choices}) < len(self.choices):
            raise _fault("choices", "has a value twice")
        for name, values in self.when.items():
            if not values:
                raise _fault("when", f"{name} is given no value")
        return self

    def __str__(self) -> str:
        when = "".join(f", where {name} is {' or '.join(map(as_text, of))}" for name, of in self.when.items())
        if self.choices is not None:
            return f"among {', '.join(map(as_text, self.choices))}{when}"
        how = ", logarithmically" if self.log else f" in steps of {self.step}" if self.step else ""
        return f"from {self.low} to {self.high}{how}{when}"

    @property
    def range(self) -> tuple[float, float]:
        """`low` and `high` of what has no choices."""
        return self.low or 0, self.high or 0

    def is_on_step(self, value: float) -> bool:
        """Whether a value is a whole number of steps above `low`."""
        if self.step is None:
            return True
        steps = (value - self.range[0]) / self.step
        return math.isfinite(steps) and abs(steps - round(steps)) < _STEP_ERROR

    def _check_range(self) -> None:
        low, high, step = self.low, self.high, self.step
        if low is None or high is None:
            raise _fault("", "give low and high, or choices")
        for name, value in (("low", low), ("high", high), ("step", step)):
            if value is not None and not math.isfinite(value):
                raise _fault(name, "must be a finite number")
        if low >= high:
            raise _fault("low", f"the range is empty: low must be below high = {high}")
        if self.log and low <= 0:
            raise _fault("low", "a logarithmic range begins above 0")
        if step is not None:
            if self.log:
                raise _fault("step", "a logarithmic range has no steps")
            if step <= 0:
                raise _fault("step", "must be above 0")
            if not self.is_on_step(high):
                raise _fault("step", f"does not divide the range from {low} to {high}")


def kind_of(name: str) -> type | None:
    """`int` or `float` for a setting that is a number, None for any other."""
    return _number_type(Settings.model_fields[name].annotation)


def _number_type(annotation: Any) -> type | None:
    if annotation in (int, float):
        return annotation  # type: ignore[no-any-return]
    if get_origin(annotation) is tuple:
        return None
    return next((kind for one in get_args(annotation) if (kind := _number_type(one))), None)


def read_bounds(layer: Layer, name: str, table: Any, base: Settings) -> Searched:
    """Check the bounds of a setting.

    Args:
        layer: the search space that they are of, and where it comes from.
        name: of the setting.
        table: what stands there.
        base: the other settings of the trials.

    Raises:
        SettingsError: it cannot be searched, or not within these bounds.
    """
    where = f"{layer.source}: [{name}]"
    if name not in Settings.model_fields:
        raise SettingsError(
            f"{where}: unknown setting.{suggestion(name, Settings.model_fields.keys() - _FIXED.keys())}"
        )
    if name in _FIXED:
        raise SettingsError(f"{where}: cannot be searched: {_FIXED[name]}.")
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: give a table with low and high, or with choices.")
    try:
        one = Searched(**table)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(dict.fromkeys(_explain(where, table, fault) for fault in error.errors()))
        ) from error
    if one.choices is None and kind_of(name) is None:
        raise SettingsError(f"{where}: it is no number, and has no range. Give choices.")
    if one.choices is None and kind_of(name) is int:
        for key in ("low", "high", "step"):
            if isinstance(getattr(one, key), float):
                raise SettingsError(f"{where} {key} = {getattr(one, key)}: {name} takes whole numbers.")
    for value in one.choices or one.range:
        values = merged(base, {name: value})
        validated(values, dict.fromkeys(values, Layer(where, values)))  # the setting itself does not take it
    return one


def merged(base: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of settings with others in the place of some, and without what these exclude."""
    whole = base.to_dict()
    for one, other in (("epochs", "max_steps"), ("max_steps", "epochs")):
        if one in values:
            whole.pop(other, None)
    if values.get("augment", base.augment) != base.augment:  # another policy, without the changes of this one
        whole.pop("augmentation", None)
    return whole | dict(values)


def _fault(key: str, rule: str) -> PydanticCustomError:
    return PydanticCustomError("bounds", "{rule}", {"key": key, "rule": rule})


def _explain(where: str, table: Mapping[str, Any], fault: Any) -> str:
    """One of pydantic's findings in our words: file, setting, key, value, rule."""
    if fault["type"] == "bounds":
        key, rule = fault["ctx"]["key"], fault["ctx"]["rule"]
    else:
        key = str(fault["loc"][0])
        rules = {"low": "must be a number", "high": "must be a number", "step": "must be a number"}
        rule = rules.get(key, fault["msg"][0].lower() + fault["msg"][1:])
    if fault["type"] == "extra_forbidden":
        return f"{where} {key}: unknown.{suggestion(key, Searched.model_fields)}"
    if not key:
        return f"{where}: {rule}."
    return f"{where} {key} = {as_text(table.get(key))}: {rule}."


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
