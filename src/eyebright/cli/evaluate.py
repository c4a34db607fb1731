"""`eyebright evaluate`: exact figures of a run's classifier or checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.options import DataDir, Json, RunData, Split
from eyebright.cli.output import print_json

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.run_directory import RunDirectory


def evaluate(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    data: RunData = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="step-N", help="Evaluate this checkpoint.", show_default="the saved classifier"),
    ] = None,
    split: Split = "test",
    top_k: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="For the top-k accuracy: the share of images whose own class is among the first K.",
            show_default="5 where there are more classes, else none",
        ),
    ] = None,
    ood: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="Measure, too, how well these other data are told from the images: data of any classes and size, or a "
            "folder of pictures. Give it again for more.",
            show_default="none",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Measure a run's classifier or checkpoint exactly.

    Every image of the split counts once, and every figure has a 95% interval: where it would lie with other images of
    the same kind. A run of a model on any of the run's test images, in whatever data they lie, counts as a look, which
    results.json and the user's ledger of looks record: choose on validation images.
    """
    from eyebright.cli.outliers import load_others, measure, print_outliers
    from eyebright.cli.run_images import check_split, count_look, load_run_images
    from eyebright.errors import SettingsError
    from eyebright.run_directory import RunDirectory

    if ood and checkpoint is not None:
        raise SettingsError("--ood asks the saved classifier, which knows its training images: leave --checkpoint out.")
    check_split(split)
    directory = RunDirectory.open(run)
    images = load_run_images(directory, data, data_dir, split, progress=not json)
    dataset, indices = images.dataset, images.indices
    classifier = _classifier(directory, checkpoint)

    from eyebright.evaluation.evaluate import checked_top_k
    from eyebright.evaluation.evaluate import evaluate as evaluate_classifier
    from eyebright.ledger import LooksOfData
    from eyebright.uncertainty import known_images

    checked_top_k(top_k, len(classifier.class_names))  # before it counts as a look
    if ood:
        known_images(classifier)  # likewise
    others = load_others(directory, ood or [], data_dir, progress=not json)
    looks = count_look(directory, images)
    for other in others:  # which may be other data that hold test images of the run
        looks = looks if looks is not None else count_look(directory, other)
    of_data = LooksOfData(None, None) if looks is None else directory.looks_of_data
    evaluation = evaluate_classifier(classifier, dataset, indices, top_k=top_k, progress=not json)
    outliers = measure(directory, classifier, images, others, progress=not json) if others else []
    if json:
        if of_data.warning:
            print(of_data.warning, file=sys.stderr)
        counted = {"test_looks": looks, **of_data.to_dict()}
        told = {"ood": [figures.to_dict() for figures in outliers]} if ood else {}
        print_json({**evaluation.to_dict(), "data": dataset.name, "split": split, **counted, **told})
        return

    from eyebright.cli.evaluation_tables import print_evaluation

    print_evaluation(evaluation, f"{dataset.name}, {split} images")
    if outliers:
        print_outliers(outliers)
    if of_data.sentence:
        print(of_data.sentence)
    if looks is not None:
        print(f"Looks at the run's test images so far: {looks}")


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
