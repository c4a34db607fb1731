"""How well pictures are told that are unlike the training images: noise, digits, textures against CIFAR-10.

    python benchmarks/outliers.py --data PATH/cifar-10-batches-bin --run RUN [--write]

The run, of cnn `default` on CIFAR-10, is copied, and calibrated, which measures what its training images are like. Each
distance is measured on validation images against made pictures, by which the one that classifiers keep was chosen, and
then on the test images against other made pictures: one look, which the copy and the user's ledger count. Exit code 1
if the distance that is kept, or the best one, does not tell each kind with an AUROC of 0.90.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np

from eyebright import Classifier, Dataset, calibrate, load_dataset
from eyebright.data.split import split_dataset
from eyebright.evaluation.outliers import OutlierFigures, distances_for, measured_distances, outlier_figures
from eyebright.run_directory import RunDirectory
from machine import describe_machine
from made_outliers import made_outliers
from report import Check, check_table, publish, table

KEPT = "cosine"
PROMISED = 0.90
CHOICE, TEST = 1, 2  # seeds of the made pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--run", type=Path, required=True, help="finished; kept as it is")
    parser.add_argument("--made", type=int, default=1000, help="made pictures of each kind (default 1000)")
    parser.add_argument("--test-images", type=int, default=10_000, help="the first so many of them (default all)")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    with tempfile.TemporaryDirectory() as directory:
        unneeded = shutil.ignore_patterns("checkpoints", "events.*")
        run = RunDirectory.open(Path(shutil.copytree(arguments.run, Path(directory) / "run", ignore=unneeded)))
        calibrate(run.path, dataset=dataset, progress=True)
        kept_bytes = (run.path / "model" / "known_images.npz").stat().st_size
        classifier = Classifier.load(run.path)
        split = split_dataset(dataset, **run.settings.split)
        test = split.test[: arguments.test_images]
        distances = distances_for(classifier, dataset, split.train, run.settings.seed, progress=True)
        found = {}
        with run.locked():
            looks = run.count_test_look()
        for what, images, seed in (("validation", split.validation, CHOICE), ("test", test, TEST)):
            known = measured_distances(classifier, dataset, images, distances, progress=True)
            found[f"{len(images):,} {what}"] = [
                outlier_figures(classifier, kind, known, measured_distances(classifier, made, all_of(made), distances))
                for kind, made in made_data(arguments.made, seed).items()
            ]
    section, all_kept = markdown(found, kept_bytes, looks, arguments.made)
    publish(section, write=arguments.write)
    sys.exit(0 if all_kept else 1)


def made_data(count: int, seed: int) -> dict[str, Dataset]:
    labels = np.zeros(count, np.int32)
    return {
        kind: Dataset(images, labels[: len(images)], ("made", "not made"), kind)
        for kind, images in made_outliers(count, seed).items()
    }


def all_of(dataset: Dataset) -> np.ndarray:
    return np.arange(len(dataset))


def markdown(found: dict[str, list[OutlierFigures]], kept_bytes: int, looks: int, made: int) -> tuple[str, bool]:
    """The section for RESULTS.md, and whether the promise is kept."""
    chosen_by, tested = found.values()
    means = {name: mean(figures.scores[name].auroc for figures in chosen_by) for name in chosen_by[0].scores}
    best = max(means, key=lambda name: means[name])
    checks = [
        Check(f"AUROC of {figures.data} by {name}", [figures.scores[name].auroc], PROMISED, at_least=True, digits=4)
        for name in dict.fromkeys((KEPT, best))
        for figures in tested
    ]
    paragraph = (
        f"{describe_machine({})}. One run, {made:,} made pictures of each kind, other ones for the test images; the "
        f"energy by all views, the rest by one. By the mean over the kinds on validation images the best is {best} "
        f"({', '.join(f'{name} {value:.4f}' for name, value in means.items())}). A classifier keeps {KEPT}, in "
        f"{kept_bytes:,} bytes. Looks of the copied run at its test images: {looks}."
    )
    lines = ["## Pictures that are unlike the training images: cnn `default` on CIFAR-10", "", paragraph]
    for what, figures in found.items():
        lines += ["", f"AUROC (95% interval); share that passes where 95% of the {what} images do:", ""]
        lines += figures_table(figures)
    return "\n".join([*lines, "", *check_table(checks)]), all(check.kept for check in checks)


def figures_table(found: list[OutlierFigures]) -> list[str]:
    names = list(found[0].scores)
    rows = []
    for figures in found:
        cells = []
        for name in names:
            auroc, interval, fpr95 = figures.scores[name]
            low, high = interval or (auroc, auroc)
            cells.append(f"{auroc:.4f} ({low:.4f}–{high:.4f}); {fpr95:.3f}")
        marked = "–" if figures.flagged is None else f"{figures.flagged:.1%}"
        rows.append([figures.data, *cells, marked])
    return table(["pictures", *(name.replace("_", " ") for name in names), "marked by `predict`"], rows)


if __name__ == "__main__":
    main()
