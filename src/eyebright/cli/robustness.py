"""`eyebright robustness`: accuracy on pictures that noise, blur and the like have made worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.options import DataDir, FinishedRun, Json, RunData, Split
from eyebright.cli.output import check_png, print_json, print_table

if TYPE_CHECKING:
    from eyebright.evaluation.robustness import Robustness, Share


def robustness(
    run: FinishedRun,
    data: RunData = None,
    split: Split = "validation",
    images: Annotated[int, typer.Option(min=1, help="At most so many of them, chosen by the seed.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of that choice and of all that is drawn.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Draw a chart, too (PNG).", show_default="none")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Measure accuracy on pictures that were made worse.

    Noise, blur, JPEG, brightness, contrast, shift, rotation and a hidden part, in five strengths each, in the way of
    CIFAR-10-C. A run of a model on any of the run's test images counts as a look, which results.json records.
    """
    from eyebright.cli.run_images import check_split, count_look, load_run_images, saved_classifier
    from eyebright.run_directory import RunDirectory

    if output is not None:
        check_png(output, "chart")
    check_split(split)
    directory = RunDirectory.open(run)
    chosen = load_run_images(directory, data, data_dir, split, progress=not json)
    classifier = saved_classifier(directory)

    from eyebright.evaluation.robustness import draw_robustness
    from eyebright.evaluation.robustness import robustness as measure

    looks = count_look(directory, chosen)
    result = measure(classifier, chosen.dataset, chosen.indices, images, seed, progress=True)
    if output is not None:
        draw_robustness(result, output)
    if json:
        print_json({**result.to_dict(), "data": chosen.dataset.name, "split": split, "test_looks": looks})
    else:
        _print_table(result, f"{chosen.dataset.name}, {split} images", looks)
        if output is not None:
            print(output)


def _print_table(result: Robustness, what: str, looks: int | None) -> None:
    from rich.table import Table

    print(f"Accuracy {_figures(result.clean)} on {result.n:,} images as they are ({what}; in brackets 95% intervals)")
    strengths = len(next(iter(result.corrupted.values())))
    table = Table("changed by", *(f"strength {number + 1}" for number in range(strengths)))
    for kind, row in result.corrupted.items():
        table.add_row(kind, *(_figures(share) for share in row))
    print_table(table)
    print(f"Mean over all of these: {_figures(result.mean)}")
    if looks is not None:
        print(f"Looks at the run's test images so far: {looks}")


def _figures(share: Share) -> str:
    low, high = share.accuracy_ci95
    return f"{share.accuracy:.3f} ({low:.3f} to {high:.3f})"
