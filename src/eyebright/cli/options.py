"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
