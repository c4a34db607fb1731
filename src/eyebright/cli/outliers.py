"""What `eyebright evaluate --ood DATA` measures: how well other data are told from what a run was trained on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from eyebright.cli.output import print_table

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.cli.run_images import RunImages
    from eyebright.data.dataset import Dataset
    from eyebright.evaluation.outliers import OutlierFigures
    from eyebright.run_directory import RunDirectory


def load_others(run: RunDirectory, paths: list[str], data_dir: Path | None, *, progress: bool) -> list[RunImages]:
    """Load other data: their test images where they come split, else all of them.

    Args:
        run: whose classifier is to meet them.
        paths: names of the catalogue or paths, of labelled data or of a folder of pictures.
        data_dir: where data sets of the catalogue are kept.
        progress: whether a download shows a progress bar.

    Raises:
        DataError: they cannot be read.
    """
    import numpy as np

    from eyebright.cli.run_data import load_run_data
    from eyebright.cli.run_images import RunImages

    found = []
    for path in paths:
        dataset = _folder_of_pictures(run, path, progress=progress)
        dataset = dataset or load_run_data(run, path, data_dir, progress=progress)
        indices = dataset.splits.get("test", np.arange(len(dataset)))
        own = dataset.fingerprint == run.data.fingerprint
        found.append(RunImages(dataset, indices, "test", own))
    return found


def measure(
    run: RunDirectory, classifier: Classifier, known: RunImages, others: list[RunImages], *, progress: bool
) -> list[OutlierFigures]:
    """Measure how well a run's classifier tells other data from known images; looks are counted by who calls it."""
    import numpy as np

    from eyebright.data.split import split_dataset
    from eyebright.evaluation.outliers import distances_for, measured_distances, outlier_figures

    training = split_dataset(known.dataset, **run.settings.split).train if known.own else np.arange(0)
    distances = distances_for(
        classifier, known.dataset if known.own else None, training, run.settings.seed, progress=progress
    )
    of_known = measured_distances(classifier, known.dataset, known.indices, distances, progress=progress)
    return [
        outlier_figures(
            classifier,
            other.dataset.name,
            of_known,
            measured_distances(classifier, other.dataset, other.indices, distances, progress=progress),
        )
        for other in others
    ]


def print_outliers(found: list[OutlierFigures]) -> None:
    """Print the figures as a table."""
    from rich.table import Table

    print(
        "Other data against these images: the chance that an image of theirs is farther (AUROC, 95% interval), and "
        "the share of them that pass where 95% of these do (FPR95). predict goes by the cosine distance."
    )
    table = Table("data", "images", "distance", "AUROC", "FPR95", "predict marks")
    for figures in found:
        for name, (auroc, interval, fpr95) in figures.scores.items():
            words = "" if interval is None else " ({:.4f} to {:.4f})".format(*interval)
            marks = f"{figures.flagged:.1%}" if name == "cosine" and figures.flagged is not None else ""
            shown_name = name.replace("_", " ")
            table.add_row(figures.data, f"{figures.n:,}", shown_name, f"{auroc:.4f}{words}", f"{fpr95:.4f}", marks)
    print_table(table)


def _folder_of_pictures(run: RunDirectory, path: str, *, progress: bool) -> Dataset | None:
    """The pictures of a folder that holds nothing but pictures, without labels; None where it is no such folder."""
    import numpy as np

    from eyebright.data.catalog import CATALOG
    from eyebright.data.dataset import Dataset
    from eyebright.data.decode import decode_image
    from eyebright.data.picture_names import PICTURE_SUFFIXES
    from eyebright.data.progress import shown
    from eyebright.paths import expanded

    folder = expanded(path)
    if path in CATALOG or not folder.is_dir():
        return None
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if not entries or any(entry.is_dir() or entry.suffix.lower() not in PICTURE_SUFFIXES for entry in entries):
        return None
    decoded = [
        decode_image(entry, run.data.image_shape, run.settings.fit)
        for entry in shown(entries, "Pictures", len(entries), lambda _: 1, progress=progress)
    ]
    labels = np.zeros(len(decoded), np.int32)  # nobody asks for them
    return Dataset(np.stack(decoded), labels, run.data.class_names, os.fspath(folder))
