"""Arguments and options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from eyebright.picture_options import PictureOptions
from eyebright.sources import flag

FinishedRun = Annotated[Path, typer.Argument(help="Directory of a finished run.")]

# What a command looks at that can also be asked about data that the run did not learn from.
RunData = Annotated[
    str | None,
    typer.Argument(help="Other data of the same classes, or where the run's data lies now.", show_default="the run's"),
]
Split = Annotated[str, typer.Option(help="Which images: test, validation or train.")]

DataDir = Annotated[
    Path | None, typer.Option(help="Where data sets of the catalogue are kept.", envvar="EYEBRIGHT_DATA")
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonAside = Annotated[bool, typer.Option("--json", help="Print JSON; what is for people goes to stderr.")]


def picture_options(given: Mapping[str, Any]) -> PictureOptions:
    """What was given of the options of `with_picture_flags`, checked; None is nothing.

    Raises:
        SettingsError: one of them is out of its range.
    """
    from pydantic import ValidationError

    from eyebright.errors import SettingsError

    try:
        return PictureOptions.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{flag(name)} {given[name]}: {first['msg']}.") from error


Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Work on a Ray cluster: HOST:PORT, auto (the one that runs here, or else one of this machine) or local "
        "(the latter in any case). [default: not on Ray; --ray alone is auto]",
        show_default=False,
    ),
]

_ADDRESS = re.compile(r"auto|local|\S+:\d+")


def with_address_of_ray(arguments: list[str]) -> list[str]:
    """Arguments in which `--ray` has an address, as Typer has no option whose value may be left out.

    >>> with_address_of_ray(["tune", "--ray", "digits"]), with_address_of_ray(["tune", "--ray", "head:6379"])
    (['tune', '--ray=auto', 'digits'], ['tune', '--ray', 'head:6379'])
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    following = [*arguments[1:end], ""]
    options = [
        "--ray=auto" if argument == "--ray" and _ADDRESS.fullmatch(after) is None else argument
        for argument, after in zip(arguments[:end], following, strict=False)
    ]
    return options + arguments[end:]
