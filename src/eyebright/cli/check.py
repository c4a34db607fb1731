"""`eyebright check`: what may be wrong with data, before anyone trains on them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.flags import with_picture_flags
from eyebright.cli.label_errors import check_run_dir, wrong_labels
from eyebright.cli.options import DataDir, Json, picture_options
from eyebright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from eyebright.data.audit import Report

_FOUND = 3  # the exit code where something was found
_EXAMPLES = 3  # findings of a kind in the table
_LONGEST = 160  # characters of a finding in the table


@with_picture_flags
def check(
    data: Annotated[str, typer.Argument(help="The data, as for eyebright train.")],
    fix_list: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A list to write for --exclude: what it lists here, and what to leave out. Nothing is deleted.",
        ),
    ] = None,
    label_errors: Annotated[
        bool,
        typer.Option(
            "--label-errors", help="Train, too (some minutes or more), and report the labels that this contradicts."
        ),
    ] = False,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where to keep what --label-errors trains; given again, it is gone on with, or used again.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures, which needs no network.")
    ] = None,
    json: Json = False,
    data_dir: DataDir = None,
    **flags: Any,
) -> None:
    """Look for what may be wrong with data: damage, duplicates, leakage, odd images, classes that give themselves away.

    The exit code is 0 if nothing was found, 3 if something was, and 2 if the data could not be looked at.
    """
    options = picture_options(flags)

    from eyebright.data.audit import audit, collect, write_exclusions
    from eyebright.data.audit.page import write_page

    _check_outputs(data, options.exclude, {"--fix-list": fix_list, "--html": html})
    check_run_dir(run_dir, label_errors=label_errors)
    with collect(data, options, data_dir=data_dir, progress=not json) as collection:
        # Before the rest: whether labels can be checked is known at once.
        wrong = wrong_labels(collection.dataset, options, run_dir, quiet=json) if label_errors else []
        report = audit(collection, progress=not json)
        report = replace(report, findings=(*report.findings, *wrong))
        if html is not None:
            write_page(report, collection.dataset, html)  # here, as long as the pictures are there
    if fix_list is not None:
        write_exclusions(report, fix_list, None if options.exclude is None else Path(options.exclude))
    if json:
        print_json(report.to_dict())
    else:
        _print_report(report)
        if fix_list is not None:
            print(f"Written: {fix_list}, which leaves out {len(report.excluded):,} of {report.images:,} images")
        if html is not None:
            print(f"Written: {html}")
    raise typer.Exit(_FOUND if report.findings else 0)


def _check_outputs(data: str, exclude: str | None, outputs: dict[str, Path | None]) -> None:
    """Refuse files that cannot be written, or would replace what is read or written as well.

    Only --fix-list may name the file of --exclude, whose lines it keeps.

    Raises:
        SettingsError: one file is given twice.
        StorageError: one cannot be written.
    """
    from eyebright.data.catalog import CATALOG
    from eyebright.errors import SettingsError
    from eyebright.paths import expanded
    from eyebright.storage import check_writable

    taken = {} if data in CATALOG else {os.path.realpath(expanded(data)): "DATA"}
    if exclude is not None:
        taken[os.path.realpath(exclude)] = "--exclude"
    for option, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(os.path.realpath(path), option)
        if other != option and (option, other) != ("--fix-list", "--exclude"):
            raise SettingsError(f"{option} {path}: this is the file of {other}, too. Name another file.")
        check_writable(path)


def _print_report(report: Report) -> None:
    from rich.table import Table

    from eyebright.data.audit.report import KINDS

    for name, counts in report.overview.items():
        print(f"{name}: {', '.join(f'{value} {count:,}' for value, count in counts.items())}")
    for note in report.notes:
        print(note)
    if report.findings:
        table = Table("found", "findings", "images", "for example")
        for kind, count in report.counts.items():
            examples = [_shortened(finding.message) for finding in report.of_kind(kind)[:_EXAMPLES]]
            more = [f"… and {count - _EXAMPLES:,} more"] if count > _EXAMPLES else []
            images = {image for finding in report.of_kind(kind) for image in finding.images}
            lines = [*examples, *more, f"→ {KINDS[kind].advice}"]
            table.add_row(kind, f"{count:,}", f"{len(images):,}", "\n".join(lines))
        print_table(table)
        findings = "finding" if len(report.findings) == 1 else "findings"
        print(f"{len(report.findings):,} {findings} in {report.images:,} images of {report.data}.")
    else:
        print(f"Nothing found in {report.images:,} images of {report.data}.")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
