"""The search space: which settings `eyebright tune` varies, within which bounds, under which conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eyebright.errors import SettingsError, suggestion
from eyebright.presets import read_preset_space
from eyebright.settings import Settings
from eyebright.sources import Layer, as_text, validated
from eyebright.tuning.bounds import Searched, kind_of, merged, read_bounds

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


@dataclass(frozen=True)
class SearchSpace:
    """Settings that are searched.

    Attributes:
        searched: the bounds of each by its name; what a condition looks at comes before it.
    """

    searched: Mapping[str, Searched]

    @classmethod
    def read(cls, layer: Layer, base: Settings) -> SearchSpace:
        """Check a table of bounds by the name of their settings.

        Args:
            layer: the table, and where it comes from.
            base: what trials have where it is not searched; also what the model is.

        Raises:
            SettingsError: an unknown setting or one that cannot be searched, an empty range, values that the setting
                does not take, a condition on a setting that is not searched. The message names file and key.
        """
        if not layer.values:
            raise SettingsError(f"{layer.source}: it names no setting to search. Give at least one.")
        searched = {name: read_bounds(layer, name, table, base) for name, table in layer.values.items()}
        if {"epochs", "max_steps"} <= searched.keys():
            raise SettingsError(f"{layer.source}: epochs and max_steps exclude each other: search one of the two.")
        for name, one in searched.items():
            for other, values in one.when.items():
                _check_condition(f"{layer.source}: [{name}] when", other, values, searched)
        return cls(_in_order(layer.source, searched))

    @classmethod
    def of(cls, bounds: Mapping[str, Any], base: Settings) -> SearchSpace:
        """The same from a program's own table, `{"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, …}`."""
        return cls.read(Layer("search space", bounds), base)

    @classmethod
    def of_preset(cls, base: Settings) -> SearchSpace:
        """What is searched around the preset of these settings."""
        return cls.read(read_preset_space(base.preset, base.model), base)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; two spaces are the same where these are."""
        return {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in sorted(self.searched.items())}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SearchSpace:
        """The space of a record that `to_dict` gave."""
        return cls(_in_order("", {name: Searched(**table) for name, table in record.items()}))

    def distribution(self, name: str) -> BaseDistribution:
        """The bounds of a setting as Optuna has them."""
        from optuna import distributions

        one = self.searched[name]
        if one.choices is not None:
            return distributions.CategoricalDistribution(one.choices)
        low, high = one.range
        if kind_of(name) is int:
            return distributions.IntDistribution(int(low), int(high), one.log, int(one.step or 1))
        return distributions.FloatDistribution(float(low), float(high), one.log, one.step)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Let an Optuna trial choose a value for each setting whose condition holds."""
        chosen: dict[str, Any] = {}
        for name, one in self.searched.items():
            if not self._is_active(name, chosen):
                continue
            if one.choices is not None:
                chosen[name] = trial.suggest_categorical(name, one.choices)
                continue
            low, high = one.range
            if kind_of(name) is int:
                chosen[name] = trial.suggest_int(name, int(low), int(high), step=int(one.step or 1), log=one.log)
            else:
                chosen[name] = trial.suggest_float(name, float(low), float(high), step=one.step, log=one.log)
        return chosen

    def of_settings(self, settings: Settings) -> tuple[dict[str, Any], list[str]]:
        """The values that settings have of what is searched, as far as they lie within it, and what does not."""
        inside: dict[str, Any] = {}
        outside: list[str] = []
        for name in self.searched:
            value = getattr(settings, name)
            value = as_text(value) if isinstance(value, tuple) else value
            if not self._is_active(name, inside):
                continue
            if self._holds(name, value):
                inside[name] = value
            else:
                outside.append(name)
        return inside, outside

    def without(self, names: set[str]) -> SearchSpace:
        """The same without some of its settings, and without what their values were a condition for."""
        kept = {name: one for name, one in self.searched.items() if name not in names and not {*one.when} & names}
        return SearchSpace(kept)

    def scaled(self, name: str, factor: float, least: int) -> SearchSpace:
        """The same with the whole numbers of a setting multiplied by a factor, and none below `least`."""
        if name not in self.searched:
            return self
        one = self.searched[name]

        def scale(value: Any) -> int:
            scaled: int = round(value * factor)
            return max(least, scaled)

        if one.choices is not None:
            changed = Searched(choices=tuple(dict.fromkeys(map(scale, one.choices))), when=one.when)
        else:
            low, high = map(scale, one.range)
            changed = Searched(low=low, high=max(low + 1, high), log=one.log, when=one.when)
        return SearchSpace({**self.searched, name: changed})

    def _is_active(self, name: str, chosen: Mapping[str, Any]) -> bool:
        return all(chosen.get(other) in values for other, values in self.searched[name].when.items())

    def _holds(self, name: str, value: Any) -> bool:
        one = self.searched[name]
        if one.choices is not None:
            return value in one.choices
        low, high = one.range
        return value is not None and low <= value <= high and one.is_on_step(value)


def trial_settings(base: Settings, values: Mapping[str, Any], name: str) -> Settings:
    """The settings of a trial.

    Args:
        base: what is not searched.
        values: those that were chosen, by name.
        name: what messages call the trial.

    Raises:
        SettingsError: they contradict each other.
    """
    whole = merged(base, values)
    return validated(whole, dict.fromkeys(whole, Layer(name, whole)))


def _check_condition(where: str, other: str, values: tuple[Any, ...], searched: Mapping[str, Searched]) -> None:
    if other not in searched:
        raise SettingsError(f"{where}: {other} is not searched.{suggestion(other, searched)}")
    choices = searched[other].choices
    if choices is None:
        raise SettingsError(f"{where}: {other} has a range; a condition looks at a setting that has choices.")
    for value in values:
        if value not in choices:
            raise SettingsError(
                f"{where}: {other} is never {as_text(value)}. Its choices: {', '.join(map(as_text, choices))}."
            )


def _in_order(source: str, searched: Mapping[str, Searched]) -> dict[str, Searched]:
    """What a condition looks at before that which has it; otherwise by name, whatever the order in the file."""
    ordered: dict[str, Searched] = {}
    while len(ordered) < len(searched):
        ready = [
            name for name, one in sorted(searched.items()) if name not in ordered and one.when.keys() <= ordered.keys()
        ]
        if not ready:
            circle = ", ".join(sorted(searched.keys() - ordered.keys()))
            raise SettingsError(f"{source}: the conditions of {circle} wait for each other. Remove one of them.")
        ordered.update((name, searched[name]) for name in ready)
    return ordered
