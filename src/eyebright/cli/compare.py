"""`eyebright compare`: which of some runs is better, and how sure that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.options import DataDir
from eyebright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from eyebright.contestants import Contestant
    from eyebright.run_comparison import Pair
    from eyebright.run_directory import RunDirectory

_MOST_CLASSES_SHOWN = 20  # more are for --json


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Directories of two runs or more, all single runs, or all trainings of several seeds (train --seeds)."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where the runs' data lie now; needed only for a run without its test_predictions.npz.",
            show_default="where they lay",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object, of more than two runs a list with one a pair.")
    ] = False,
) -> None:
    """Say which of some runs is better, or that they cannot be told apart.

    Works from what the runs kept of their test, image by image: no model meets the test images again. McNemar's exact
    test decides; the interval of the difference is a paired bootstrap over images. Where images come in groups, both
    are of groups. Of more than two runs every pair is compared, with Holm's correction. Trainings of several seeds are
    paired by seed.
    """
    from eyebright.contestants import read_contestants
    from eyebright.errors import RunError
    from eyebright.run_comparison import compare_runs

    if len(runs) < 2:
        raise RunError(f"{runs[0]}: one run compares with nothing. Name two or more.")
    whole = [os.path.realpath(run) for run in runs]  # unlike Path.resolve, it never raises
    twice = next((run for i, run in enumerate(runs) if whole[i] in whole[:i]), None)
    if twice is not None:
        raise RunError(f"{twice}: named twice. Name different runs.")
    for run in runs:
        _restore_predictions(run, data, data_dir, progress=not json)
    contestants = read_contestants(runs)
    pairs = compare_runs(contestants)
    if json:
        looks = {one.name: one.test_looks for one in contestants}
        found = [{**pair.to_dict(), "test_looks": {k: looks[k] for k in (pair.first, pair.second)}} for pair in pairs]
        print_json(found[0] if len(found) == 1 else found)
    else:
        _print(contestants, pairs)


def _print(contestants: list[Contestant], pairs: list[Pair]) -> None:
    for pair in pairs:
        print(pair.sentence)
        if pair.images_sentence:
            print(pair.images_sentence)
    first = pairs[0].images[0]
    if first.groups is not None:
        print(f"Images of one group, or the same twice, count together: {first.n:,} images as {first.groups:,}.")
    print_table(_pairs_table(pairs))
    if len(pairs) == 1:
        rows = pairs[0].per_class
        if len(rows) <= _MOST_CLASSES_SHOWN:
            print("Per class, share of its images that are right:")
            print_table(_class_table(pairs[0]))
    for one in contestants:
        if one.test_looks > 1:
            print(
                f"{one.name}: its models met the test images {one.test_looks} times. What was chosen by that looks "
                "better than it is."
            )


def _pairs_table(pairs: list[Pair]) -> Any:
    from rich.table import Table

    of_seeds = pairs[0].over_seeds is not None
    corrected = ["p, by Holm"] if len(pairs) > 1 else []
    test = "p (McNemar)" if pairs[0].images[0].groups is None else "p (of groups)"
    if of_seeds:
        heads = ["", "seeds", "difference", "95% interval over seeds", "p (t-test)", *corrected]
    else:
        heads = ["", "images", "difference", "95% interval", test, *corrected, "only first", "only second"]
    table = Table(*heads)
    for pair in pairs:
        found, first = pair.deciding, pair.images[0]
        figures = [f"{found.difference:+.4f}", "{:+.4f} to {:+.4f}".format(*found.ci95), f"{found.p_value:.2g}"]
        figures += [f"{pair.p_value_holm:.2g}"] if corrected else []
        count = [f"{len(pair.seeds)}"] if of_seeds else [f"{first.n:,}"]
        alone = [] if of_seeds else [f"{first.only_first:,}", f"{first.only_second:,}"]
        table.add_row(f"{pair.second} less {pair.first}", *count, *figures, *alone)
    return table


def _class_table(pair: Pair) -> Any:
    from rich.table import Table

    tested = "p_value_holm" in pair.per_class[0]
    table = Table("class", "images", pair.first, pair.second, "difference", *(["p, by Holm"] if tested else []))
    for row in pair.per_class:
        figures = [f"{row['accuracy_first']:.3f}", f"{row['accuracy_second']:.3f}", f"{row['difference']:+.3f}"]
        table.add_row(row["label"], f"{row['n']:,}", *figures, *([f"{row['p_value_holm']:.2g}"] if tested else []))
    return table


def _restore_predictions(path: Path, data: str | None, data_dir: Path | None, *, progress: bool) -> None:
    """Where a finished run has lost what it kept of its test, ask its classifier again: a look, which is said."""
    from eyebright.kept_predictions import FILE
    from eyebright.run_directory import RunDirectory
    from eyebright.run_paths import member_paths

    members = member_paths(path)
    for one in next(iter(members.values()), [path]):
        run = RunDirectory.open(one)
        if run.results is not None and not (run.path / FILE).exists():
            _answer_again(run, data, data_dir, progress=progress)


def _answer_again(run: RunDirectory, data: str | None, data_dir: Path | None, *, progress: bool) -> None:
    from eyebright.cli.output import console_for
    from eyebright.cli.run_data import load_run_data
    from eyebright.training.progress import say

    dataset = load_run_data(run, data, data_dir, progress=progress)
    run.check_same_data(dataset)

    from eyebright.backend import available_threads, set_threads
    from eyebright.classifier import Classifier
    from eyebright.data.split import split_dataset
    from eyebright.training.results import answer_test_images

    set_threads(run.settings.threads or available_threads())
    classifier, test = Classifier.load(run.path), split_dataset(dataset, **run.settings.split).test
    with run.locked():
        answer_test_images(run, classifier, dataset, test, (run.results or {}).get("steps", 0))
        say(
            console_for(quiet=False, json=True),
            f"{run.path}: what it kept of its test was gone; its classifier met the test images again "
            f"(looks so far: {run.test_looks}).",
        )
