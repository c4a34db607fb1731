"""`eyebright reproduce`: a run trained once more, and compared with itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyebright.cli.backend import choose_backend
from eyebright.cli.options import DataDir, FinishedRun, JsonAside
from eyebright.cli.output import console_for, print_json
from eyebright.cli.run_data import load_run_data

DIFFERS = 3  # the exit code where the repetition is not the same to the bit


def reproduce(
    run: FinishedRun,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the run's data lie now.", show_default="where they lay"),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory for the repetition; one that was broken off there is gone on with.",
            show_default="RUN-again",
        ),
    ] = None,
    data_dir: DataDir = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the outcome alone.")] = False,
    json: JsonAside = False,
) -> None:
    """Train a run again and say whether it comes to the same bits.

    First its data, settings and saved classifier are verified, and what differs in the environment is said. The exit
    code is 0 if the repetition is identical to the bit, 3 if it differs (where it first does is said), 2 if the run
    cannot be trained again.
    """
    from eyebright.run_directory import RunDirectory

    console = console_for(quiet=quiet, json=json)
    choose_backend(None, run)
    directory = RunDirectory.open(run)
    dataset = load_run_data(directory, data, data_dir, progress=console is not None)

    from eyebright import reproduction

    found = reproduction.reproduce(run, dataset, run_dir, console=console)
    if json:
        print_json(found.to_dict())
    else:
        for damaged in found.sameness.damaged:
            print(f"Passed over: {damaged}")
        print(found.sentence)
        print(found.environment_sentence)
    if not found.sameness.identical:
        raise typer.Exit(DIFFERS)
