"""A hook of MkDocs: what the reference says of commands, settings and Python names is made from the program itself.

A page has a comment where it is to stand: `<!-- made: commands -->`, say; `_MAKERS` has the others. A quotation right
below the comment is for those who read the page as Markdown, and is left out.
"""
# ruff: noqa: INP001 - a script that MkDocs loads by its path

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from itertools import takewhile
from typing import Any

import typer
from mkdocs.exceptions import PluginError
from pydantic import BaseModel

import eyebright
from eyebright import errors
from eyebright.augmentation import Augmentation
from eyebright.cli import app
from eyebright.picture_options import PictureOptions
from eyebright.presets import preset_names, preset_settings
from eyebright.settings import UNUSED_BY_MODEL, Settings
from eyebright.sources import as_text

_PLACE = re.compile(r"^<!-- made: (\w+) -->\n(?:>.*\n)*", re.MULTILINE)
_OF_TEXT = re.compile(r"([\\*_\[\]|])")  # what Markdown takes for its own
_TYPES = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_HUGE = 2**31 - 1  # limits from here on are the machine's, not the setting's


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is made into the places that a page has for it."""
    return _PLACE.sub(lambda match: _made(match[1]), markdown)


def _made(what: str) -> str:
    if what not in _MAKERS:
        raise PluginError(f"docs/hooks/reference.py makes nothing by the name of {what}; it makes {', '.join(_MAKERS)}")
    return "\n".join(_MAKERS[what]()) + "\n"


def _commands() -> Iterator[str]:
    group = typer.main.get_command(app)
    yield from _subcommands(group, typer.Context(group, info_name="eyebright", **group.context_settings))


def _subcommands(group: Any, context: typer.Context) -> Iterator[str]:
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        own = typer.Context(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from _subcommands(command, own)
        else:
            yield from _command(command, own)


def _command(command: Any, context: typer.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield from (f"{_text(paragraph)}\n" for paragraph in (command.help or "").split("\n\n"))
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    for title, kind in (("Argument", "argument"), ("Option", "option")):
        parameters = [one for one in command.get_params(context) if one.param_type_name == kind and one.name != "help"]
        records = [record for parameter in parameters if (record := parameter.get_help_record(context))]
        if records:
            yield from _table((title, "What it does"), ((_code(name), _text(text)) for name, text in records))


def _settings() -> Iterator[str]:
    yield from _fields(Settings, leave_out={"augmentation", *PictureOptions.model_fields})


def _pictures() -> Iterator[str]:
    yield from _fields(PictureOptions)


def _augmentation() -> Iterator[str]:
    yield from _fields(Augmentation)


def _fields(model: type[BaseModel], leave_out: Iterable[str] = ()) -> Iterator[str]:
    fields = {name: field for name, field in model.model_json_schema()["properties"].items() if name not in leave_out}
    rows = (
        (_code(name), _text(_kind(field)), _code(as_text(field["default"])), _text(field["description"]))
        for name, field in fields.items()
    )
    yield from _table(("Setting", "Type", "Default", "What it decides"), rows)


def _kind(field: dict[str, Any]) -> str:
    """What values a setting takes, from its JSON schema, in words."""
    if "anyOf" in field:
        return " or ".join("none" if one.get("type") == "null" else _kind(one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(field["enum"])
    if field["type"] == "array":
        parts = field.get("prefixItems")
        return f"{len(parts)} × {_kind(parts[0])}" if parts else f"list of {_kind(field['items'])}"
    limits = [f"{sign} {field[key]}" for key, sign in _LIMITS.items() if key in field and field[key] < _HUGE]
    return f"{_TYPES[field['type']]} {', '.join(limits)}".strip()


def _presets() -> Iterator[str]:
    recipes = resources.files("eyebright") / "recipes"
    for model, presets in preset_names().items():
        yield f"### {model}\n"
        for preset in presets:
            lines = (recipes / f"{preset}-{model}.toml").read_text(encoding="utf-8").splitlines()
            header = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
            yield f"**{preset}** (`--model {model} --preset {preset}`)\n\n```text\n" + "\n".join(header) + "\n```\n"
        settings = [preset_settings(preset, model=model) for preset in presets]
        rows = (
            (_code(name), *(_code(_written(getattr(one, name))) for one in settings))
            for name, field in Settings.model_fields.items()
            if name not in UNUSED_BY_MODEL[model] | {"model", "preset", "data"}
            and any(getattr(one, name) != field.default for one in settings)
        )
        yield from _table(("Setting", *presets), rows)


def _written(value: Any) -> str:
    if not isinstance(value, Augmentation):
        return as_text(value)
    return ", ".join(f"{key} = {as_text(one)}" for key, one in value.to_dict().items()) or "none"


def _errors() -> Iterator[str]:
    tree = [line for line in (errors.__doc__ or "").splitlines() if re.match(r"\s+(EyebrightError|[├│└])", line)]
    yield "```text\n" + textwrap.dedent("\n".join(tree)) + "\n```"


def _python() -> Iterator[str]:
    yield from (f"::: eyebright.{name}\n" for name in eyebright.__all__)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _text(text: str) -> str:
    """Plain text, with `code`, as Markdown shows it in a table's cell."""
    parts = html.escape(" ".join(text.split()), quote=False).split("`")
    escaped = [_OF_TEXT.sub(r"\\\1", part) for part in parts]
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(escaped))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


_MAKERS: dict[str, Callable[[], Iterator[str]]] = {
    "commands": _commands,
    "settings": _settings,
    "pictures": _pictures,
    "augmentation": _augmentation,
    "presets": _presets,
    "errors": _errors,
    "python": _python,
}
