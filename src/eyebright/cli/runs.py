"""`eyebright runs`: a table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.options import Json
from eyebright.cli.output import print_json, print_rows

if TYPE_CHECKING:
    from eyebright.run_table import Row

_MOST_SETTINGS_SHOWN = 8  # more columns than that nobody reads; --json and --csv have all
_SHOWN_FIRST = ("preset", "seed", "epochs", "max_steps", "batch_size", "learning_rate", "augment", "hidden_units")
_COLUMNS_ANYWAY = {"data", "model"}


def runs(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A directory of runs, or of directories of runs.")
    ] = Path("runs"),
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="A column or a setting, for example test_accuracy.")
    ] = "run",
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest first.")] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only runs with this value in a column or a setting, for example model=cnn; may be given again.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List runs: their figures, and the settings in which they differ.

    The runs of a cross-validation or of several seeds are one row, with their mean and standard deviation; name their
    directory to see each. A run that is not finished says so, and a damaged one what is wrong with it.
    """
    from eyebright.errors import SettingsError
    from eyebright.run_table import differing_settings, filtered, in_order, read_rows

    if json and csv:
        raise SettingsError("--json and --csv exclude each other: give one of the two.")
    rows = in_order(filtered(read_rows(directory), _parsed(filters or [])), sort, reverse=reverse)
    differing = differing_settings(rows)
    if json:
        print_json([{**row.values, "settings": {name: row.settings.get(name) for name in differing}} for row in rows])
    elif csv:
        _print_csv(rows, differing)
    elif not rows:
        print(f"{directory}: no runs{' of this kind' if filters else ''}.")
    else:
        _print(rows, differing)


def _parsed(filters: list[str]) -> dict[str, str]:
    from eyebright.errors import SettingsError

    wanted = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--filter {text}: give it as KEY=VALUE, for example model=cnn.")
        wanted[key.strip().replace("-", "_")] = value.strip()
    return wanted


def _print_csv(rows: list[Row], differing: list[str]) -> None:
    import csv
    import sys

    from eyebright.run_table import COLUMNS

    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [name for name in differing if name not in COLUMNS]
    ends = ("test_accuracy_ci95_low", "test_accuracy_ci95_high")
    place = COLUMNS.index("test_accuracy_ci95")
    writer.writerow([*COLUMNS[:place], *ends, *COLUMNS[place + 1 :], *names])
    for row in rows:
        values = [row.values[name] for name in COLUMNS]
        values[place : place + 1] = row.values["test_accuracy_ci95"] or (None, None)
        writer.writerow([*values, *(row.settings.get(name) for name in names)])


def _print(rows: list[Row], differing: list[str]) -> None:
    first = [name for name in _SHOWN_FIRST if name in differing]
    names = [name for name in dict.fromkeys([*first, *differing]) if name not in _COLUMNS_ANYWAY]
    shown = names[:_MOST_SETTINGS_SHOWN]
    groups = ["runs"] if any(row.values["runs"] for row in rows) else []
    heads = ["run", "test accuracy", "95% interval", "state", "data", "model", *groups, "validation accuracy"]
    heads += ["steps", "training", "looks", *shown]
    left_out = print_rows(heads, [_cells(row, groups, shown) for row in rows])
    for row in rows:
        if row.values["problem"] is not None:
            print(f"{row.values['run']}: {row.values['problem']}")
    if left_out:
        print(f"More columns, in a wider terminal or by --csv: {', '.join(left_out)}.")
    if len(shown) < len(names):
        print(f"They differ in {len(names) - len(shown)} more settings, which --json and --csv show.")


def _cells(row: Row, groups: list[str], settings: list[str]) -> list[str]:
    values = row.values
    seconds = "–" if values["train_seconds"] is None else f"{values['train_seconds']:,.0f} s"
    return [
        *(values["run"], _accuracy(values), _interval(values["test_accuracy_ci95"])),
        *(values[name] or "–" for name in ("state", "data", "model", *groups)),
        *(_share(values["validation_accuracy"]), f"{values['steps'] or 0:,.0f}", seconds),
        str(values["test_looks"] or 0),
        *(_setting(row, name) for name in settings),
    ]


def _accuracy(values: dict[str, Any]) -> str:
    deviation = values["test_accuracy_std"]
    return _share(values["test_accuracy"]) + (f" ± {deviation:.4f}" if deviation is not None else "")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(ends: list[float] | None) -> str:
    return "–" if ends is None else "{:.4f} to {:.4f}".format(*ends)


def _setting(row: Row, name: str) -> str:
    from eyebright.sources import as_text

    return as_text(row.settings[name]) if name in row.settings else "–"
