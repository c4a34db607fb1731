"""A run's report: one HTML file with all that is known of it, that needs no network and runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from eyebright.contestants import read_contestants
from eyebright.data.dataset import Dataset, image_hashes
from eyebright.data.split import split_dataset
from eyebright.errors import RunError
from eyebright.html_page import json_in_page, plain_text, read_part, render_page, script_hash
from eyebright.kept_predictions import Answers
from eyebright.report import about_run, curves, figures
from eyebright.report.pictures import Pictures, choose_pictures
from eyebright.run_comparison import compare_runs
from eyebright.run_directory import RunDirectory
from eyebright.storage import write_file

if TYPE_CHECKING:
    from eyebright.evaluation.robustness import Robustness  # it loads a backend, which a report without it does not

PACKAGE = "eyebright.report"
_MOST_CLASSES = 50  # of a confusion matrix; of more, the most frequent mistakes are listed
_MOST_PAIRS = 60  # of that list


@dataclass(frozen=True)
class WrittenReport:
    """What was written.

    Attributes:
        path: of the page.
        bytes: its size.
        pictures: how many pictures it shows.
    """

    path: Path
    bytes: int
    pictures: int


def write_report(
    run: RunDirectory,
    path: Path,
    dataset: Dataset | None,
    *,
    no_pictures: str = "",
    others: Sequence[Path] = (),
    robustness: Robustness | None = None,
    progress: bool = False,
) -> WrittenReport:
    """Write a finished run's report, from what it kept of its test: no look at the test images.

    Args:
        run: a finished run.
        path: of the page. What was under that name is replaced.
        dataset: the run's data, for the pictures; None for none.
        no_pictures: why there are none, in a sentence, where there is no data set.
        others: directories of runs to compare it with.
        robustness: what was measured of it, to be shown.
        progress: whether to show progress bars on standard error.

    Raises:
        RunError: the run is not finished, or what it kept of its test is missing or damaged; the data are not its own;
            a run to compare it with is none, or was tested on other images.
        StorageError: the page cannot be written.
    """
    kept = Answers.of(run)
    answers, class_names = figures.TestAnswers.of(kept), run.data.class_names
    found = figures.figures_of(answers, class_names, progress=progress)
    confusion = _confusion(found["confusion_matrix"], class_names)
    pictures = None
    if dataset is not None:
        test, cells = _test_images(run, kept, dataset), confusion["cells"]
        pictures = choose_pictures(answers, dataset, test, class_names, cells, progress=progress)
    script = read_part(PACKAGE, "report.js")
    page = render_page(
        PACKAGE,
        "report.html",
        name=run.path.resolve().name,
        data=about_run.data_of(run),
        settings=about_run.settings_of(run),
        model=run.settings.model,
        results=run.results or {},
        curves=_curves(run),
        figures=found,
        summary=figures.summary(found),
        looks=about_run.looks_at(run),
        reliability=figures.reliability(answers, found),
        risk_coverage=figures.risk_coverage(answers),
        confusion=confusion,
        pictures=pictures,
        no_pictures=no_pictures,
        pictures_json=Markup(json_in_page(_as_json(pictures, class_names))),  # noqa: S704 - it cannot end its element
        robustness=robustness,
        robustness_panels=curves.robustness_panels(robustness) if robustness else [],
        pairs=compare_runs(read_contestants([run.path, *others])) if others else [],
        environment=about_run.environment_of(run),
        ways_back=about_run.ways_back(run),
        script=Markup(script),  # noqa: S704 - our own
        script_hash=script_hash(script),
    )
    write_file(path, page)
    shown = 0 if pictures is None else len(pictures.top) + sum(map(len, pictures.cells.values()))
    return WrittenReport(path, len(page), shown)


def _test_images(run: RunDirectory, kept: Answers, dataset: Dataset) -> NDArray[np.int64]:
    """int64 [n]: which images of the data set the answers are to."""
    run.check_same_data(dataset)
    test = split_dataset(dataset, **run.settings.split).test
    if not np.array_equal(image_hashes(dataset.images, test), kept.image_sha256):
        raise RunError(
            f"{run.path / 'test_predictions.npz'}: its answers are to other images than the run's test images. "
            "Restore the file."
        )
    return test


def _curves(run: RunDirectory) -> dict[str, Any]:
    """The charts, or why there are none: all else of the report does not hang on them."""
    try:
        return {"panels": curves.training_curves(run.path), "missing": ""}
    except RunError as error:
        return {"panels": [], "missing": str(error)}


def _confusion(matrix: NDArray[np.int64], class_names: tuple[str, ...]) -> dict[str, Any]:
    """The matrix, where it is not too large, or the most frequent mistakes, for the template.

    Returns:
        `rows` of the matrix, or else `pairs`; `cells`, those of which pictures are wanted.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if len(class_names) <= _MOST_CLASSES:
        shades = np.round(100 * np.sqrt(shares)).astype(int)  # the root: a few mistakes of a class are seen, too
        counts = matrix.tolist()
        rows = [list(zip(*row, strict=True)) for row in zip(counts, shades.tolist(), strict=True)]
        cells = {(label, taken) for label, row in enumerate(counts) for taken, count in enumerate(row) if count}
        return {"rows": rows, "pairs": [], "cells": cells}
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    frequent = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    places = [divmod(place, len(class_names)) for place in frequent.tolist()]
    pairs = [
        {"label": label, "taken": taken, "count": int(wrong[label, taken]), "share": float(shares[label, taken])}
        for label, taken in places
        if wrong[label, taken]
    ]
    return {"rows": [], "pairs": pairs, "cells": {(pair["label"], pair["taken"]) for pair in pairs}}


def _as_json(pictures: Pictures | None, class_names: tuple[str, ...]) -> dict[str, Any]:
    """What the page's script shows of each cell of the matrix."""
    cells = {} if pictures is None else pictures.cells
    shown = {f"{label}-{taken}": [_plain(one) for one in chosen] for (label, taken), chosen in cells.items()}
    return {"names": class_names, "cells": shown}


def _plain(picture: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": picture["source"],
        "image": plain_text(picture["image"]),
        "said": picture["probability"],
    }
