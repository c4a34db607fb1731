"""Whether a classifier knows when it does not know: calibration, answers with a promised error, conformal sets.

    python benchmarks/uncertainty.py --data PATH/cifar-10-batches-bin --runs RUN... [--write]

The runs, of cnn `default` on CIFAR-10, are copied and calibrated on their validation images, as `eyebright calibrate`
does it. All test figures are of the test predictions that the runs keep: no model meets the test images. Then the kept
predictions of the first run are divided by chance, 200 times, into images to calibrate on and others, which shows what
images that are like the test images would give: as many as the run has validation images for calibration and answers
with a promised error, half of them for conformal sets. Each draw is calibrated anew. Exit code 1 if a promise is not
kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright import Classifier, Dataset, abstention_threshold, calibrate, load_dataset
from eyebright.arrays import npz_to_arrays
from eyebright.data.dataset import hash_prefixes
from eyebright.errors import DataError
from eyebright.metrics.calibration import Calibration, CalibrationMethod
from eyebright.metrics.calibration_error import error_if_calibrated, expected_calibration_error
from eyebright.metrics.calibration_fit import fit_calibration
from eyebright.metrics.conformal import ConformalMethod, draws, fit_conformal_sets
from eyebright.metrics.scores import log_loss
from eyebright.metrics.selective import threshold_for_error
from machine import describe_machine
from report import Check, check_table, mean_and_deviation, publish, table

METHODS: tuple[CalibrationMethod, ...] = ("none", "temperature", "quadratic", "vector", "isotonic")
SHOWN: tuple[CalibrationMethod, ...] = ("temperature", "quadratic")  # that change no answer
TARGET, ALPHA, DRAWS = 0.01, 0.1, 200
NOTHING = float("nan")


class Predictions(NamedTuple):
    """Test predictions that a run kept."""

    labels: NDArray[np.int32]
    logits: NDArray[np.float32]
    keys: NDArray[np.uint64]

    def part(self, images: NDArray[np.int64]) -> Predictions:
        return Predictions(*(array[images] for array in self))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.logits.shape[1])))


class Figures(NamedTuple):
    """What a calibration does; coverage and error are of answers with a promised error, nan where none was promised."""

    validation_loss: float
    validation_calibration_error: float
    loss: float
    calibration_error: float
    by_chance: float
    answers_changed: float
    coverage: float
    error: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="RUN", help="finished; kept as they are")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    found: dict[str, list[Figures]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as directory:
        for number, run in enumerate(arguments.runs):
            unneeded = shutil.ignore_patterns("checkpoints", "events.*")
            copy = Path(shutil.copytree(run, Path(directory) / str(number), ignore=unneeded))
            for method in METHODS:
                found[method].append(measured(copy, method, dataset))
                print(run, method, found[method][-1], file=sys.stderr, flush=True)
        validation_images = json.loads((Path(directory) / "0" / "data.json").read_bytes())["validation_images"]
        kept = kept_predictions(Path(directory) / "0")
    fresh = {
        method: [fresh_figures(kept, validation_images, method, draw) for draw in range(DRAWS)] for method in SHOWN
    }
    sets = {method: [fresh_sets(kept, method, draw) for draw in range(DRAWS)] for method in ("lac", "aps")}
    section, all_kept = markdown(found, fresh, sets, validation_images)
    publish(section, write=arguments.write)
    sys.exit(0 if all_kept else 1)


def kept_predictions(run: Path) -> Predictions:
    arrays = npz_to_arrays((run / "test_predictions.npz").read_bytes())
    return Predictions(arrays["labels"], arrays["logits"], hash_prefixes(arrays["image_sha256"]))


def measured(run: Path, method: CalibrationMethod, dataset: Dataset) -> Figures:
    """Calibrate a run, and look at its kept test predictions."""
    done = calibrate(run, method, dataset=dataset)
    classifier = Classifier.load(run)
    try:
        threshold = abstention_threshold(classifier, target_error=TARGET).threshold
    except DataError:
        threshold = NOTHING
    validation = (done.after["log_loss"], done.after["calibration_error"]) if done.after else (NOTHING, NOTHING)
    return Figures(*validation, *test_figures(kept_predictions(run), classifier.calibration, threshold))


def test_figures(kept: Predictions, calibration: Calibration, threshold: float) -> tuple[float, ...]:
    answers = calibration.log_probabilities(kept.logits)
    probabilities = np.exp(answers)
    accepted = probabilities.max(axis=1) >= threshold  # none, where the threshold is nan
    wrong = answers.argmax(axis=1) != kept.labels
    return (
        log_loss(kept.labels, answers),
        expected_calibration_error(kept.labels, probabilities),
        error_if_calibrated(probabilities),
        float((answers.argmax(axis=1) != kept.logits.argmax(axis=1)).sum()),
        float(accepted.mean()) if accepted.any() else NOTHING,
        float(wrong[accepted].mean()) if accepted.any() else NOTHING,
    )


def divided(kept: Predictions, images: int, draw: int) -> tuple[Predictions, Predictions]:
    order = np.random.default_rng(draw).permutation(len(kept.labels))
    return kept.part(order[:images]), kept.part(order[images:])


def fresh_figures(kept: Predictions, images: int, method: CalibrationMethod, draw: int) -> Figures:
    """The same with some of the test images in the place of the validation images, figures of the others."""
    known, others = divided(kept, images, draw)
    calibration = fit_calibration(method, known.labels, known.logits, kept.names)
    probabilities = calibration.probabilities(known.logits)
    hits = probabilities.argmax(axis=1) == known.labels
    try:
        threshold = threshold_for_error(probabilities.max(axis=1), hits, TARGET).threshold
    except DataError:
        threshold = NOTHING
    return Figures(NOTHING, NOTHING, *test_figures(others, calibration, threshold))


def fresh_sets(kept: Predictions, method: ConformalMethod, draw: int) -> tuple[float, float]:
    """Coverage and mean size of conformal sets fitted to one half of the test images, of the other half."""
    known, others = divided(kept, len(kept.labels) // 2, draw)
    calibration = fit_calibration("temperature", known.labels, known.logits, kept.names)
    rule = fit_conformal_sets(
        known.labels,
        calibration.probabilities(known.logits),
        draws(known.keys),
        ALPHA,
        method=method,
        class_names=kept.names,
    )
    sets = rule.sets(calibration.probabilities(others.logits), draws(others.keys))
    return float(sets[np.arange(len(sets)), others.labels].mean()), float(sets.sum(axis=1).mean())


def markdown(
    found: dict[str, list[Figures]],
    fresh: dict[str, list[Figures]],
    sets: dict[str, list[tuple[float, float]]],
    validation_images: int,
) -> tuple[str, bool]:
    """The section for RESULTS.md, and whether all promises are kept."""
    runs = len(found["none"])
    best = min(SHOWN, key=lambda method: mean(one.validation_loss for one in found[method]))
    checks = [
        Check(f"ECE after {best} calibration", [one.calibration_error for one in found[best]], 0.012, digits=4),
        Check("answers that temperature scaling changes", [one.answers_changed for one in found["temperature"]], 0),
        Check(f"error among answers, target {TARGET}", [one.error for one in found[best]], 0.015, digits=4),
        Check("their coverage", [one.coverage for one in found[best]], 0.75, at_least=True),
    ]
    for method, values in sets.items():
        coverage = [mean(coverage for coverage, _ in values)]
        checks += [
            Check(f"{method}: mean coverage at {1 - ALPHA:.0%}", coverage, 0.89, at_least=True, digits=4),
            Check(f"{method}: the same", coverage, 0.91, digits=4),
        ]
    broken = {m: mean(float(one.error > TARGET) for one in values) for m, values in fresh.items()}
    paragraph = (
        f"{describe_machine({})}. {runs} runs, each with {validation_images:,} validation images and 10,000 kept test "
        f"predictions; figures of validation images are five-fold. ECE by 15 equal-mass bins. The promises are of the "
        f"calibration {best}: of the two that change no answer it has the lower log loss on validation images."
    )
    instead = (
        f"{validation_images:,} of the first run's test images in the place of its validation images, {DRAWS} draws, "
        "figures of the others:"
    )
    lines = [
        "## Knowing when it does not know: cnn `default` on CIFAR-10",
        "",
        paragraph,
        "",
        *figures_table(found),
        "",
        instead,
        "",
        *figures_table(fresh),
        "",
        *(
            f"- {method}: answers were wrong more often than the target in {broken[method]:.1%} of the draws "
            f"(promised: 5%); no promise was made in {mean(float(np.isnan(one.error)) for one in values):.1%}"
            for method, values in fresh.items()
        ),
        *(
            f"- conformal sets, {method}, halves, {DRAWS} draws: coverage {mean_and_deviation(coverages)}, "
            f"{mean_and_deviation(sizes, '.3f')} classes"
            for method, values in sets.items()
            for coverages, sizes in [[list(column) for column in zip(*values, strict=True)]]
        ),
        "",
        *check_table(checks),
    ]
    return "\n".join(lines), all(check.kept for check in checks)


def figures_table(found: dict[str, list[Figures]]) -> list[str]:
    """A row for each method, means ± standard deviations; of coverage and error, over what was promised."""
    heads = [
        "calibration",
        "log loss, validation",
        "ECE, validation",
        "log loss",
        "ECE",
        "ECE by chance alone",
        "answers changed",
        f"coverage, target {TARGET}",
        "error",
    ]
    forms = (".4f", ".4f", ".4f", ".4f", ".4f", ".1f", ".3f", ".4f")
    rows = []
    for method, values in found.items():
        columns = [[value for value in column if not np.isnan(value)] for column in zip(*values, strict=True)]
        cells = [mean_and_deviation(c, form) if c else "–" for c, form in zip(columns, forms, strict=True)]
        rows.append([method, *cells])
    return table(heads, rows)


if __name__ == "__main__":
    main()
