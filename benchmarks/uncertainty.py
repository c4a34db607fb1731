"""Whether a classifier knows when it does not know: calibration, answers with a promised error, conformal sets.

    python benchmarks/uncertainty.py --data PATH/cifar-10-batches-bin --runs RUN... [--write]

The runs, of cnn `default` on CIFAR-10, are copied and calibrated on their validation images, as `eyebright calibrate`
does it; all test figures are of the test predictions that the runs keep, so that no model meets the test images. Then
simulations on the first run's kept predictions, which they divide by chance into images to calibrate on and others:
conformal sets with halves, and calibration and answers with a promised error with as many images as the runs had for
validation. In each draw the temperature is fitted anew. Exit code 1 if a promise is not kept.
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
from eyebright.classifier import npz_to_arrays
from eyebright.data.dataset import hash_prefixes
from eyebright.errors import DataError
from eyebright.metrics.calibration import Calibration, fit_calibration
from eyebright.metrics.calibration_error import error_if_calibrated, expected_calibration_error
from eyebright.metrics.conformal import draws, fit_conformal_sets
from eyebright.metrics.scores import count_correct
from eyebright.metrics.selective import threshold_for_error
from machine import describe_machine
from report import Check, check_table, publish, spread, table

METHODS = ("none", "temperature", "quadratic", "vector", "isotonic")
TARGET, ALPHA = 0.01, 0.1
SPLITS = 200


class Kept(NamedTuple):
    """Test predictions of a run."""

    labels: NDArray[np.int32]
    logits: NDArray[np.float32]
    draws: NDArray[np.float64]


class Answers(NamedTuple):
    """What comes of a promise on test images."""

    coverage: float
    error: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="RUN", help="finished runs; kept as is")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    rows, checks = [], Checks()
    with tempfile.TemporaryDirectory() as directory:
        for number, run in enumerate(arguments.runs):
            copy = copied(run, Path(directory) / str(number))
            for method in METHODS:
                rows.append(measured(copy, method, dataset, checks))
                print(run.name, method, *rows[-1], file=sys.stderr, flush=True)
        first = kept_predictions(Path(directory) / "0")
        images = json.loads((Path(directory) / "0" / "data.json").read_bytes())["validation_images"]
        fresh = simulated_promise(first, images)
        coverages = {method: simulated_sets(first, method) for method in ("lac", "aps")}
    section, kept = markdown(rows, checks, fresh, images, coverages)
    publish(section, write=arguments.write)
    sys.exit(0 if kept else 1)


def copied(run: Path, copy: Path) -> Path:
    """A copy of what calibration needs of a run."""
    return Path(shutil.copytree(run, copy, ignore=shutil.ignore_patterns("checkpoints", "events.*", "teacher")))
