"""`eyebright evaluate`: exact figures of a run's classifier or checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.evaluation.evaluate import Evaluation
    from eyebright.run_directory import RunDirectory

_MOST_CLASSES_SHOWN = 20  # a larger confusion matrix is for --json


def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="Other data of the same classes, or where the run's data lies now.", show_default="the run's"
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="step-N", help="Evaluate this checkpoint.", show_default="the saved classifier"),
    ] = None,
    split: Annotated[str, typer.Option(help="Which images: test, validation or train.")] = "test",
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data sets of the catalogue are kept.", envvar="EYEBRIGHT_DATA")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run's classifier or checkpoint exactly.

    Every image of the split counts once. A run of a model on any of the run's test images, in whatever data they lie,
    counts as a look, which results.json records: choose on validation images.
    """
    from eyebright.cli.run_images import count_look, load_run_images
    from eyebright.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    images = load_run_images(directory, data, data_dir, split, progress=not json)
    dataset, indices = images.dataset, images.indices
    classifier = _classifier(directory, checkpoint)

    from eyebright.evaluation.evaluate import evaluate as evaluate_classifier

    looks = count_look(directory, images)
    evaluation = evaluate_classifier(classifier, dataset, indices)
    if json:
        print_json({**evaluation.to_dict(), "data": dataset.name, "split": split, "test_looks": looks})
    else:
        _print_tables(evaluation, f"{dataset.name}, {split} images", looks)


def _classifier(run: RunDirectory, checkpoint: str | None) -> Classifier:
    if checkpoint is None:
        from eyebright.cli.run_images import saved_classifier

        return saved_classifier(run, ", or name one of its checkpoints (--checkpoint step-N)")
    from eyebright.backend import available_threads, set_threads
    from eyebright.training.checkpoint import Checkpoints
    from eyebright.training.pretrained import run_architecture

    settings = run.settings
    set_threads(settings.threads or available_threads())
    checkpoints = Checkpoints(run.path / "checkpoints", settings.keep_checkpoints)
    architecture = run_architecture(run)
    return checkpoints.load_classifier(checkpoint, architecture, run.data.class_names, settings.tta, settings.fit)


def _print_tables(evaluation: Evaluation, what: str, looks: int | None) -> None:
    from rich.table import Table

    from eyebright.models.inference import VIEWS

    low, high = evaluation.accuracy_ci95
    print(
        f"Accuracy {evaluation.accuracy:.4f} (95% interval {low:.4f} to {high:.4f}) on {evaluation.n:,} images "
        f"({what}); log loss {evaluation.log_loss:.4f}"
    )
    print(f"Test-time augmentation {evaluation.tta}: {VIEWS[evaluation.tta]}")
    print("Per class:")
    table = Table("class", "images", "precision", "recall", "95% interval", "F1")
    for row in evaluation.per_class:
        interval = "{:.3f} to {:.3f}".format(*row["recall_ci95"]) if row["recall_ci95"] else "–"
        figures = (_figure(row["precision"]), _figure(row["recall"]), interval, _figure(row["f1"]))
        table.add_row(row["label"], f"{row['support']:,}", *figures)
    print_table(table)
    if len(evaluation.class_names) <= _MOST_CLASSES_SHOWN:
        print("Confusion matrix, an image's class down, what it was taken for across:")
        print_table(_confusion_table(evaluation))
    if looks is not None:
        print(f"Looks at the run's test images so far: {looks}")


def _confusion_table(evaluation: Evaluation) -> Any:
    from rich.table import Table

    table = Table("", *evaluation.class_names)
    for name, row in zip(evaluation.class_names, evaluation.confusion_matrix.tolist(), strict=True):
        table.add_row(name, *(f"{count:,}" if count else "·" for count in row))
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
