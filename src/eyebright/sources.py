"""Where settings come from: a preset, a file or the flags; and how a message about a mistake names the place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eyebright.augmentation import Augmentation
from eyebright.errors import SettingsError, suggestion
from eyebright.settings import Settings

FLAGS = "flags"
_QUOTED_AT_MOST = 60  # characters of a value, in a message
# pydantic's words for types that TOML has other words for.
_RULES = {"model_type": "input should be a table of settings", "tuple_type": "input should be a list"}


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
        value = self.values[key]
        if self.source == FLAGS or isinstance(value, float):
            written = as_text(value)
        else:  # in a file, text has quotation marks: "0.1" is no number
            written = json.dumps(value, ensure_ascii=False, default=str)
        if len(written) > _QUOTED_AT_MOST:
            written = f"{written[:_QUOTED_AT_MOST]}…"
        return f"{self.name(key)}{' ' if self.source == FLAGS else ' = '}{written}"


def flag(key: str) -> str:
    """The flag of a setting.

    >>> flag("learning_rate")
    '--learning-rate'
    """
    return "--" + key.replace("_", "-")


def as_text(value: Any) -> str:
    """A setting's value as its flag takes it.

    >>> as_text((64, 256)), as_text(0.5), as_text(None), as_text(())
    ('64,256', '0.5', 'none', 'none')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


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
        lines = [_explain(problem, values, source) for problem in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from error  # of a list, each wrong part has one


def _explain(problem: Any, values: Mapping[str, Any], source: Mapping[str, Layer]) -> str:
    """One of pydantic's findings in our words: where, what, the rule, what was received."""
    if not problem["loc"]:
        return _explain_contradiction(problem, source)
    key = word = str(problem["loc"][0])
    layer, known = source.get(key, Layer("settings", values)), Settings.model_fields
    if key == "augmentation" and len(problem["loc"]) > 1:  # a table: what is wrong is one of its settings
        word, known, table = str(problem["loc"][1]), Augmentation.model_fields, layer.values[key]
        key = f"{key}.{word}"
        layer = Layer(layer.source, {key: table.get(word)})
    if problem["type"] == "extra_forbidden":
        return f"{layer.name(key)}: unknown setting.{suggestion(word, known)}"
    if word == "image_size" and problem["type"] == "tuple_type":
        return f"{layer.quote(key)}: give one number, or HEIGHTxWIDTH, for example 64 or 48x64."
    rule = _RULES.get(problem["type"], problem["msg"][0].lower() + problem["msg"][1:])
    hint = ""
    if problem["type"] == "literal_error" and isinstance(layer.values[key], str):
        allowed = problem["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        hint = suggestion(layer.values[key], allowed)
    return f"{layer.quote(key)}: {rule}.{hint}"


def _explain_contradiction(problem: Any, source: Mapping[str, Layer]) -> str:
    if problem["type"] == "contradiction" and problem["ctx"]["key"] in source:
        key = problem["ctx"]["key"]
        return f"{source[key].name(key)}: {problem['ctx']['rule']}."
    layers = source.values()
    files = {layer.source for layer in layers if layer.source != FLAGS and not layer.source.startswith("preset ")}
    return ": ".join([*sorted(files), problem["msg"].removeprefix("Value error, ")]) + "."
