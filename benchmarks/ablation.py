"""What each ingredient of a preset is worth: validation accuracy without it, over seeds.

    python benchmarks/ablation.py --data PATH/cifar-10-batches-bin [default-fc small-cnn] [--seeds 0 1 2] [--write]

The test images take no part. The images that a run keeps for validation take their place, so that all of a run is as
ever, its end included. The same seeds train every variation, so that differences are taken seed by
seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}

from eyebright import Dataset, load_dataset, preset_settings, train
from eyebright.data.split import split_dataset
from machine import commit, describe_machine
from report import mean_and_deviation, publish, table

Changes = dict[str, Any]


class Study(NamedTuple):
    """A preset, what is changed of it in all runs, and the variations by what they are called."""

    preset: str
    common: Changes
    variations: dict[str, Changes]


STUDIES = {
    "default-fc": Study(
        "default-fc",
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
        "default-cnn",
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
    """The same data, the validation images of a run in the test images' place."""
    split = split_dataset(dataset, **preset_settings().split)
    return dataclasses.replace(dataset, splits={"train": split.train, "test": split.validation})


def run_all(name: str, label: str, dataset: Dataset, seeds: list[int]) -> list[dict[str, Any]]:
    """results.json of each seed."""
    study = STUDIES[name]
    found = []
    for seed in seeds:
        changes = study.common | study.variations[label] | {"seed": seed, "validation": 0.0}
        with tempfile.TemporaryDirectory() as directory:
            settings = preset_settings(study.preset, **changes)
            found.append(train(settings, dataset, Path(directory) / "run").results)
    shown = ", ".join(f"{one:.4f}" for one in accuracies(found))
    print(f"{name}, {label}: {shown}", file=sys.stderr, flush=True)
    return found


def section(name: str, found: dict[str, list[dict[str, Any]]], seeds: list[int]) -> str:
    """The section for RESULTS.md."""
    study = STUDIES[name]
    changed = "".join(f", {key} {value}" for key, value in study.common.items())
    whole = next(iter(found.values()))
    paragraph = (
        f"`{study.preset}`{changed}. {describe_machine({})}; commit {commit()}. Accuracy on "
        f"{whole[0]['test_images']:,} validation images held out of the training images; the test images took no part. "
        f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}; differences are of the same seeds."
    )
    rows = []
    for label, results in found.items():
        differences = [100 * (a - b) for a, b in zip(accuracies(results), accuracies(whole), strict=True)]
        one_view = [one.get("test_accuracy_one_view", one["test_accuracy"]) for one in results]
        seconds = f"{median(one['train_seconds'] for one in results):.0f}"
        cells = [mean_and_deviation(accuracies(results)), mean_and_deviation(differences, "+.2f")]
        rows.append([label, *cells, mean_and_deviation(one_view), seconds])
    heads = ["", "validation accuracy", "difference, points", "by one view", "training, s"]
    return "\n".join([f"## What each ingredient is worth: {name}", "", paragraph, "", *table(heads, rows)])


def accuracies(results: list[dict[str, Any]]) -> list[float]:
    return [one["test_accuracy"] for one in results]


if __name__ == "__main__":
    main()
