"""How settings come together, in one order: the preset, over it a configuration file, over that the flags."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eyebright.errors import SettingsError, suggestion
from eyebright.settings import Settings

FLAGS = "flags"
# A preset's batch is halved until an epoch has this many steps: with fewer, small data sets hardly train.
MIN_STEPS_PER_EPOCH = 20
# But not below this: batch normalisation learns nothing from a batch of one, and little from one of two.
MIN_BATCH_SIZE = 8
_QUOTED_AT_MOST = 60  # characters of a value, in a message


@dataclass(frozen=True)
class Layer:
    """Some settings and where they come from: a preset, a file, or the command line's flags."""

    source: str
    values: Mapping[str, Any]

    def name(self, key: str) -> str:
        """How a message calls one of its settings.

        >>> Layer("flags", {}).name("batch_size"), Layer("my.toml", {}).name("batch_size")
        ('--batch-size', 'my.toml: batch_size')
        """
        return flag(key) if self.source == FLAGS else f"{self.source}: {key}"

    def quote(self, key: str) -> str:
        """One of its settings with its value, as its user wrote it.

        >>> Layer("flags", {"seed": 1}).quote("seed"), Layer("my.toml", {"model": "fc"}).quote("model")
        ('--seed 1', 'my.toml: model = "fc"')
        """
        value, joint = self.values[key], " " if self.source == FLAGS else " = "
        # In a file, text has quotation marks: "0.1" is no number.
        written = json.dumps(value, ensure_ascii=False) if joint != " " and isinstance(value, str) else str(value)
        if len(written) > _QUOTED_AT_MOST:
            written = f"{written[:_QUOTED_AT_MOST]}…"
        return f"{self.name(key)}{joint}{written}"


def flag(key: str) -> str:
    """The flag of a setting.

    >>> flag("learning_rate")
    '--learning-rate'
    """
    return "--" + key.replace("_", "-")


@dataclass(frozen=True)
class Resolved:
    """Settings, and those of them that the user gave (in a file or as a flag) rather than a preset.

    Attributes:
        settings: all of them.
        given: the layer that each of the user's comes from, by name.
    """

    settings: Settings
    given: Mapping[str, Layer]

    def fitted(self, training_images: int) -> Settings:
        """The settings with a preset's batch size lowered to a small training set. An explicit one is kept.

        Raises:
            SettingsError: an explicit one is larger than the training set.
        """
        batch_size = self.settings.batch_size
        if "batch_size" in self.given:
            if batch_size > training_images:
                raise SettingsError(
                    f"{self.given['batch_size'].quote('batch_size')}: larger than the training set "
                    f"({training_images:,} images). Give a smaller one."
                )
            return self.settings
        while batch_size > MIN_BATCH_SIZE and training_images // batch_size < MIN_STEPS_PER_EPOCH:
            batch_size = max(batch_size // 2, MIN_BATCH_SIZE)
        return self.settings.model_copy(update={"batch_size": min(batch_size, training_images)})


def preset_settings(preset: str = "default", model: str | None = None, **overrides: Any) -> Settings:
    """The settings of a preset, with some of them replaced.

    Raises:
        SettingsError: no such preset, or a setting that is unknown or out of range.

    >>> preset_settings("tutorial", seed=1).max_steps
    2000
    """
    return resolve_settings({"preset": preset, "model": model, **overrides}).settings


def resolve_settings(flags: Mapping[str, Any], config: Path | None = None) -> Resolved:
    """Settle every setting: the preset's values, over them the configuration file's, over them the flags'.

    Args:
        flags: settings by name as they were given on the command line; None means not given.
        config: a TOML file of settings, for example the `settings.toml` of a run.

    Raises:
        SettingsError: naming the file or flag, the setting, the rule, and for an unknown key the nearest known one.
    """
    given = Layer(FLAGS, {key: value for key, value in flags.items() if value is not None})
    file = read_layer(config) if config else Layer("", {})
    users = {key: layer for layer in (file, given) for key in layer.values}
    preset, preset_layer = _choose_preset(users)
    merged: dict[str, Any] = {}
    source: dict[str, Layer] = {}
    for layer in (preset_layer, file, given):
        if {"epochs", "max_steps"} & layer.values.keys():  # the two exclude each other; the later layer decides
            merged.pop("epochs", None), merged.pop("max_steps", None)
        merged.update(layer.values)
        source.update(dict.fromkeys(layer.values, layer))
    merged["preset"] = preset
    return Resolved(validated(merged, source), users)


def read_layer(path: Path) -> Layer:
    """A TOML file of settings.

    Raises:
        SettingsError: it is not there, or no TOML.
    """
    try:
        return Layer(str(path), tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of thousands of digits, endless nesting
        raise SettingsError(f"{path}: no valid TOML: {error}.") from error


def validated(values: Mapping[str, Any], source: Mapping[str, Layer]) -> Settings:
    """Settings of these values; an error names where the value at fault came from."""
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem, values, source) for problem in error.errors())) from error


def preset_names() -> dict[str, list[str]]:
    """The presets of each model: {"fc": ["default", "tutorial"], …}."""
    names: dict[str, list[str]] = {}
    for file in sorted(entry.name for entry in _recipes().iterdir() if entry.name.endswith(".toml")):
        preset, model = file.removesuffix(".toml").rsplit("-", 1)
        names.setdefault(model, []).append(preset)
    return names


def read_preset(preset: str, model: str) -> Layer:
    """The settings of the recipe `<preset>-<model>.toml`."""
    content = (_recipes() / f"{preset}-{model}.toml").read_text(encoding="utf-8")
    return Layer(f"preset {preset}-{model}", tomllib.loads(content))


def _choose_preset(users: Mapping[str, Layer]) -> tuple[str, Layer]:
    """The name and values of the preset that is asked for: `tutorial` (of a model), or `tutorial-softmax`."""
    presets = preset_names()
    full = {f"{name}-{of}": (name, of) for of, names in presets.items() for name in names}
    asked, model = _text("preset", users), _text("model", users)
    if asked is None:
        asked = str(Settings.model_fields["preset"].default)
    name, named_model = full.get(asked, (asked, None))
    if model is not None and model not in presets:
        raise SettingsError(f"{users['model'].quote('model')}: no such model.{suggestion(model, presets)}")
    if named_model and model and named_model != model:
        other = users["model"].quote("model")
        raise SettingsError(f"{users['preset'].quote('preset')}: is of the model {named_model}, but {other}.")
    model = named_model or model or Settings.model_fields["model"].default
    if name not in presets[model]:
        near = suggestion(name, presets[model])
        raise SettingsError(f"{users['preset'].quote('preset')}: the model {model} has no such preset.{near}")
    layer = read_preset(name, model)
    return name, Layer(layer.source, {**layer.values, "model": model})


def _text(key: str, users: Mapping[str, Layer]) -> str | None:
    if key not in users:
        return None
    value = users[key].values[key]
    if not isinstance(value, str):
        raise SettingsError(f"{users[key].quote(key)}: input should be a valid string.")
    return value


def _recipes() -> Any:
    return resources.files("eyebright") / "recipes"


def _explain(problem: Any, values: Mapping[str, Any], source: Mapping[str, Layer]) -> str:
    """One of pydantic's findings in our words: where, what, the rule, what was received."""
    if not problem["loc"]:
        return _explain_contradiction(problem, source)
    key = str(problem["loc"][0])
    layer = source.get(key, Layer("settings", values))
    if problem["type"] == "extra_forbidden":
        return f"{layer.name(key)}: unknown setting.{suggestion(key, Settings.model_fields)}"
    rule = problem["msg"][0].lower() + problem["msg"][1:]
    hint = ""
    if problem["type"] == "literal_error" and isinstance(values[key], str):
        allowed = problem["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        hint = suggestion(values[key], allowed)
    return f"{layer.quote(key)}: {rule}.{hint}"


def _explain_contradiction(problem: Any, source: Mapping[str, Layer]) -> str:
    if problem["type"] == "contradiction" and problem["ctx"]["key"] in source:
        key = problem["ctx"]["key"]
        return f"{source[key].name(key)}: {problem['ctx']['rule']}."
    layers = source.values()
    files = {layer.source for layer in layers if layer.source != FLAGS and not layer.source.startswith("preset ")}
    return ": ".join([*sorted(files), problem["msg"].removeprefix("Value error, ")]) + "."
