"""`eyebright inspect`: where a run's classifier fails, with pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.options import DataDir, Json, RunData, Split
from eyebright.cli.output import print_json, print_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eyebright.classifier import Classifier
    from eyebright.cli.run_images import RunImages
    from eyebright.evaluation.inspection import Inspection
    from eyebright.evaluation.nearest import Neighbour
    from eyebright.run_directory import RunDirectory

_MOST_SLICES = 8  # that are printed
_MOST_ANSWERS = 10  # … of the worst images
_NEAREST = 3


def inspect(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run; or an artefact.")],
    data: RunData = None,
    split: Split = "validation",
    top: Annotated[int, typer.Option(min=1, help="How many of the worst images.")] = 24,
    nearest: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="For each of them, how many of the nearest training images.",
            show_default="3; of test images 0, as to find them is a look",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the pictures.", show_default="RUN/inspection")
    ] = None,
    data_dir: DataDir = None,
    skip_golden: Annotated[
        bool, typer.Option("--skip-golden", help="Of an artefact: do not compute its golden images again.")
    ] = False,
    json: Json = False,
) -> None:
    """Show where a classifier fails; or of an artefact, what is in it.

    The images with the largest losses, the classes that are mistaken for each other most often, the training images
    that are nearest to the worst images, and accuracy on parts of the images: by class, brightness, contrast,
    sharpness, group, and size in the file. Where the run has kept its answers, no model is run; a run of one on test
    images counts as a look, which results.json records.

    Of an artefact every part is verified, its golden images are computed again, and all that it says is printed; the
    other options are for runs.
    """
    from eyebright.paths import is_file

    if is_file(run):
        from eyebright.cli.inspect_artefact import inspect_artefact
        from eyebright.errors import SettingsError

        if (data, nearest, output) != (None, None, None):
            raise SettingsError(f"{run}: this is a file: DATA, --nearest and --output are for runs. Leave them out.")

        inspect_artefact(run, skip_golden=skip_golden, json=json)
        return
    from eyebright.cli.run_images import check_split, load_run_images, saved_classifier
    from eyebright.run_directory import RunDirectory

    check_split(split)
    directory = RunDirectory.open(run)
    images = load_run_images(directory, data, data_dir, split, progress=not json)
    neighbours = (0 if split == "test" or not images.own else _NEAREST) if nearest is None else nearest
    _check_nearest(images, neighbours)
    classifier = saved_classifier(directory)

    from eyebright.evaluation.inspection import draw_nearest, draw_top_losses
    from eyebright.evaluation.inspection import inspect as inspect_answers

    logits, looks = _answers(directory, classifier, images, again=neighbours > 0)
    found = inspect_answers(classifier, images.dataset, images.indices, logits, top)
    folder = _made(output or run / "inspection")
    files = [folder / "top-losses.png"]
    draw_top_losses(found, images.dataset, files[0])
    similar = []
    if neighbours:
        similar = _nearest(directory, classifier, images, found, neighbours)
        files.append(folder / "nearest.png")
        draw_nearest(found.top_losses, similar, images.dataset, files[1])
    if json:
        print_json(_as_json(found, similar, images, files, looks))
    else:
        _print(found, f"{images.dataset.name}, {split} images", looks)
        print("\n".join(map(str, files)))


def _made(folder: Path) -> Path:
    from eyebright.errors import StorageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {error.strerror}. Name another folder with --output.") from error
    return folder


def _check_nearest(images: RunImages, neighbours: int) -> None:
    from eyebright.errors import SettingsError

    if neighbours and not images.own:
        raise SettingsError(
            f"--nearest {neighbours}: {images.dataset.name} is other data than the run was trained on, and its "
            "training images are not there. Leave it out."
        )


def _answers(
    run: RunDirectory, classifier: Classifier, images: RunImages, *, again: bool
) -> tuple[NDArray[np.floating], int | None]:
    """The classifier's logits for images, float [n, classes], and the looks so far if this is one.

    Args:
        run: whose images they are.
        classifier: the run's.
        images: which.
        again: whether the classifier will be run on them later on in any case.
    """
    from eyebright.cli.run_images import count_look
    from eyebright.data.dataset import image_hashes
    from eyebright.evaluation.kept_logits import kept_logits

    pixels, indices = images.dataset.images, images.indices
    kept = None
    if images.own and images.split != "train":  # to hash all training images takes its time, and none are kept
        kept = kept_logits(run, images.split, classifier, image_hashes(pixels, indices))
    if images.split == "test" and images.own and kept is None:
        print("The run has kept no answers of this classifier: it looks at the test images again.", file=sys.stderr)
    looks = count_look(run, images) if kept is None or again else None
    if kept is None:
        kept = classifier.logits(pixels, indices, progress=True)
    return kept, looks


def _nearest(
    run: RunDirectory, classifier: Classifier, images: RunImages, found: Inspection, count: int
) -> list[list[Neighbour]]:
    import numpy as np

    from eyebright.data.split import split_dataset
    from eyebright.evaluation.nearest import nearest_images

    training = split_dataset(images.dataset, **run.settings.split).train
    worst = np.array([one.index for one in found.top_losses])
    return nearest_images(classifier, images.dataset, worst, training, count, progress=True)


def _as_json(
    found: Inspection, similar: list[list[Neighbour]], images: RunImages, files: list[Path], looks: int | None
) -> dict[str, Any]:
    value = found.to_dict()
    for answer, neighbours in zip(value["top_losses"], similar, strict=False):  # none where none were asked for
        answer["nearest"] = [
            {"image": one.image, "label": one.label, "similarity": one.similarity} for one in neighbours
        ]
    value |= {"data": images.dataset.name, "split": images.split, "test_looks": looks}
    return {**value, "pictures": [str(path) for path in files]}


def _print(found: Inspection, what: str, looks: int | None) -> None:
    from rich.table import Table

    low, high = found.accuracy_ci95
    print(f"Accuracy {found.accuracy:.4f} (95% interval {low:.4f} to {high:.4f}) on {found.n:,} images ({what})")
    print("The images with the largest losses:")
    table = Table("image", "is", "said", "probability", "loss")
    for answer in found.top_losses[:_MOST_ANSWERS]:
        figures = f"{answer.probability:.3f}", f"{answer.loss:.2f}"
        table.add_row(answer.image, answer.label, answer.predicted, *figures)
    print_table(table)
    if found.confused_pairs:
        print("Mistaken most often:")
        table = Table("is", "said", "images", "of the class", "95% interval")
        for pair in found.confused_pairs:
            interval = "{:.3f} to {:.3f}".format(*pair.share_ci95)
            table.add_row(pair.label, pair.predicted, f"{pair.count:,}", f"{pair.count / pair.n:.3f}", interval)
        print_table(table)
    if found.slices:
        print(f"Accuracy on parts of the images, the worst of {len(found.slices)}:")
        table = Table("part", "which", "images", "accuracy", "95% interval of all together")
        for part in found.slices[:_MOST_SLICES]:
            interval = "{:.3f} to {:.3f}".format(*part.interval)
            table.add_row(part.attribute, part.name, f"{part.n:,}", f"{part.accuracy:.3f}", interval)
        print_table(table)
    print(found.worst_slice)
    if looks is not None:
        print(f"Looks at the run's test images so far: {looks}")
