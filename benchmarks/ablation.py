"""What each ingredient of a preset is worth: validation accuracy without it, over seeds.

    python benchmarks/ablation.py --data PATH/cifar-10-batches-bin [default-fc small-cnn] [--seeds 0 1 2] [--write]

The test images are not read. A tenth of the training images is held out and takes the place of the test images, so that
all of a run is as ever, its end included. The same seeds train every variation, so that differences are taken seed by
seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}

import numpy as np

from eyebright import Dataset, load_dataset, preset_settings, train
from eyebright.data.split import split_dataset
from machine import commit, describe_machine
from report import publish, table

Changes = dict[str, Any]


class Study(NamedTuple):
    """A preset, what is changed of it in all runs, and the variations by what they are called."""

    preset: str
    model: str
    common: Changes
    variations: dict[str, Changes]


STUDIES = {
    "default-fc": Study(
        "default",
        "fc",
        {},
        {
            "as it is": {},
            "the mean image taken off instead of whitening": {"preprocessing": "mean-image"},
            "whitening of all pixels instead of the compact image": {"preprocessing": "whitening"},
            "first weights normal instead of local": {"initialization": "normal"},
            "no batch normalisation": {"batch_norm": False},
            "no augmentation": {"augment": "none"},
            "shifts without mirror images": {"augment": "light"},
            "no L1": {"l1": 0.0},
            "no weight decay": {"weight_decay": 0.0},
            "no label smoothing": {"label_smoothing": 0.0},
            "constant learning rate instead of one-cycle": {"schedule": "constant"},
            "a quarter of the units": {"hidden_units": 512},
            "twice the units": {"hidden_units": 4096},
            "twice the epochs": {"epochs": 30},
            "with an exponential moving average of the weights": {"averaging": "ema", "averaging_decay": 0.99},
            "with dropout 0.2": {"dropout": 0.2},
        },
    ),
    "small-cnn": Study(
        "default",
        "cnn",
        {"channels": (32, 64, 64), "epochs": 5},
        {
            "as it is": {},
            "whitening layer frozen, biases too": {"freeze": ("whiten",)},
            "SGD with momentum instead of Muon": {
                "optimizer": "momentum",
                "learning_rate": 0.5,
                "weight_decay": 0.0005,
                "schedule": "one-cycle",
            },
            "AdamW instead of Muon": {
                "optimizer": "adamw",
                "learning_rate": 0.01,
                "weight_decay": 0.05,
                "schedule": "one-cycle",
            },
            "batches of 1,000, the rate √2 higher": {"batch_size": 1000, "learning_rate": 0.17},
            "no augmentation": {"augment": "none"},
            "no label smoothing": {"label_smoothing": 0.0},
            "one-cycle instead of a rate that falls from the start": {"schedule": "one-cycle"},
            "SiLU instead of ReLU": {"activation": "silu"},
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=["default-fc"], metavar="study", help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"{', '.join(sorted(unknown))}: no such study here. Known: {', '.join(STUDIES)}")
    dataset = without_test_images(load_dataset(arguments.data))
    for name in arguments.studies:
        found = {label: run_all(name, label, dataset, arguments.seeds) for label in STUDIES[name].variations}
        publish(section(name, found, arguments.seeds), write=arguments.write)


def without_test_images(dataset: Dataset) -> Dataset:
    """The training images alone, the validation images of every other run in the test images' place."""
    split = split_dataset(dataset, validation=0.1, test_fraction=0.2, seed=0)
    chosen = np.concatenate([split.train, split.validation])
    parts = np.split(np.arange(len(chosen)), [len(split.train)])
    return Dataset(
        dataset.images[chosen],
        dataset.labels[chosen],
        dataset.classes,
        dataset.name,
        dict(zip(("train", "test"), parts, strict=True)),
    )


def run_all(name: str, label: str, dataset: Dataset, seeds: list[int]) -> list[dict[str, Any]]:
    """results.json of each seed."""
    study = STUDIES[name]
    found = []
    for seed in seeds:
        changes = study.common | study.variations[label] | {"seed": seed, "validation": 0.0}
        with tempfile.TemporaryDirectory() as directory:
            settings = preset_settings(study.preset, model=study.model, **changes)
            found.append(train(settings, dataset, Path(directory) / "run").results)
    accuracies = ", ".join(f"{results['test_accuracy']:.4f}" for results in found)
    print(f"{name}, {label}: {accuracies}", file=sys.stderr, flush=True)
    return found


def section(name: str, found: dict[str, list[dict[str, Any]]], seeds: list[int]) -> str:
    """The section for RESULTS.md."""
    study = STUDIES[name]
    changed = "".join(f", {key} {value}" for key, value in study.common.items())
    paragraph = (
        f"`{study.preset}-{study.model}`{changed}. {describe_machine({})}; commit {commit()}. Accuracy on 5,000 "
        "validation images held out of CIFAR-10's training images; the test images were not read. Mean ± standard "
        f"deviation over seeds {', '.join(map(str, seeds))}; differences are of the same seeds."
    )
    whole = accuracies(next(iter(found.values())))
    with_views = "test_accuracy_one_view" in next(iter(found.values()))[0]
    one_view_head = ["one view"] if with_views else []
    heads = ["", "validation accuracy", "difference, points", *one_view_head, "training, s"]
    rows = []
    for label, results in found.items():
        differences = [100 * (a - b) for a, b in zip(accuracies(results), whole, strict=True)]
        one_view = [with_spread([r["test_accuracy_one_view"] for r in results], 4)] if with_views else []
        seconds = f"{median(r['train_seconds'] for r in results):.0f}"
        rows.append(
            [label, with_spread(accuracies(results), 4), with_spread(differences, 2, sign=True), *one_view, seconds]
        )
    return "\n".join([f"## What each ingredient is worth: {name}", "", paragraph, "", *table(heads, rows)])


def accuracies(results: list[dict[str, Any]]) -> list[float]:
    return [one["test_accuracy"] for one in results]


def with_spread(values: list[float], digits: int, *, sign: bool = False) -> str:
    """Mean ± standard deviation."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):{'+' if sign else ''}.{digits}f} ± {deviation:.{digits}f}"


if __name__ == "__main__":
    main()
