"""Flags of commands, made from the settings, so that each setting is described once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from eyebright.picture_options import PictureOptions
from eyebright.presets import preset_names, read_preset
from eyebright.settings import Settings
from eyebright.sources import as_text, flag

_NOT_FLAGS = {"data", "augmentation"}  # an argument, and a table that only files have
_SHORT_LIST = 5  # so many choices stand beside the flag itself; more stand in its description


def with_settings_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes `**flags` an option for each setting; one that is not given is None."""
    names = [name for name in Settings.model_fields if name not in _NOT_FLAGS]
    return _with_flags(command, names, {**_field_defaults(), **read_preset("default", "fc").values})


def with_picture_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Likewise, for each setting that says how pictures are read."""
    return _with_flags(command, PictureOptions.model_fields, _field_defaults())


def _with_flags(command: Callable[..., None], names: Iterable[str], defaults: dict[str, Any]) -> Callable[..., None]:
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_option(name, defaults), annotation=_type(name))
        for name in names
    ]
    parameters = sorted([*own, *options], key=lambda p: p.kind)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _field_defaults() -> dict[str, Any]:
    return {name: field.default for name, field in Settings.model_fields.items()}


def _option(name: str, defaults: dict[str, Any]) -> Any:
    field, default = Settings.model_fields[name], defaults[name]
    choices = _choices(field.annotation)
    names = f"{flag(name)}/--no-{name.replace('_', '-')}" if field.annotation is bool else flag(name)
    return typer.Option(
        None,
        names,
        help=f"{field.description}{_listed(name, choices)} [default: {as_text(default)}]",
        metavar="|".join(choices) if 0 < len(choices) <= _SHORT_LIST else None,
        show_default=False,  # the option's own default is None: not given
    )


def _listed(name: str, choices: tuple[str, ...]) -> str:
    if name == "preset":
        return " " + "; ".join(f"{model}: {', '.join(presets)}" for model, presets in preset_names().items()) + "."
    return f" One of {', '.join(choices)}." if len(choices) > _SHORT_LIST else ""


def _type(name: str) -> Any:
    """What Typer parses a setting as: text for a choice, whose mistakes the settings explain better."""
    annotation = Settings.model_fields[name].annotation
    is_text = _choices(annotation) or _is_tuple(annotation)
    return str | None if is_text else annotation | None  # type: ignore[operator]


def _is_tuple(annotation: Any) -> bool:
    """Whether a type is a tuple, or may be one."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(map(_is_tuple, get_args(annotation)))
    return get_origin(annotation) is tuple


def _choices(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()
