"""Transfer learning for few images: CIFAR-10 less two classes, moved to these two with 50 images each.

    python benchmarks/transfer.py --data PATH/cifar-10-batches-bin [--draws 5] [--write]

A small convolutional network learns the eight other classes. Then, for each draw of 50 training images of each of the
two classes, it is the backbone of a transfer model, and each peer learns the same images from scratch. The pair was
named beforehand: cat and dog, of all pairs the one that classifiers of CIFAR-10 confuse most. All are tested on the two
classes' 2,000 test images. From scratch, the best of our presets for so few images is the peer that counts; its lengths
are given a choice, too, since presets are meant for more images. Exit code 1 if the promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from eyebright import Dataset, load_dataset, preset_settings, train
from machine import describe_machine
from report import mean_and_deviation, publish, table, verdict

PAIR = ("cat", "dog")
PER_CLASS = 50
PROMISED = 5.0  # points over the best training from scratch
NETWORK: dict[str, Any] = {"channels": (32, 64, 64)}
FEW: dict[str, Any] = {"validation": 0, "batch_size": 10}
# From scratch: our presets as they are, but for the batch that they are fitted to, and the network of the backbone for
# as long as the preset has it and for longer.
SCRATCH: dict[str, dict[str, Any]] = {
    "default-fc": {"preset": "default", "model": "fc"},
    "default-cnn": {"preset": "default", "model": "cnn"},
    "default-cnn, the backbone's channels": {"preset": "default", "model": "cnn", **NETWORK},
    "default-cnn, the backbone's channels, 60 epochs": {"preset": "default", "model": "cnn", **NETWORK, "epochs": 60},
    "best-cnn, the backbone's channels": {"preset": "best", "model": "cnn", **NETWORK},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6, help="of the backbone")
    parser.add_argument("--backbone", type=Path, help="where its run is kept, to be used again; it is made if missing")
    parser.add_argument("--pair", nargs=2, default=PAIR, help="other classes, to choose settings on")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cifar10 = load_dataset(arguments.data)
    with tempfile.TemporaryDirectory() as directory:
        runs = Path(directory)
        path = arguments.backbone or runs / "backbone"
        if not path.exists():
            settings = preset_settings("fast", model="cnn", **NETWORK, epochs=arguments.epochs)
            train(settings, of_classes(cifar10, others(cifar10, arguments.pair)), path)
        results = json.loads((path / "results.json").read_text())
        contenders = {
            f"transfer, {preset}": {"preset": preset, "model": "transfer", "weights": str(path)}
            for preset in ("default", "fast")
        } | SCRATCH
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for draw in range(arguments.draws):
            few = drawn(of_classes(cifar10, arguments.pair), PER_CLASS, draw)
            for number, (name, given) in enumerate(contenders.items()):
                settings = preset_settings(**{**FEW, "seed": draw, **given})
                run = train(settings, few, runs / f"{draw}-{number}")
                found[name].append(100 * run.results["test_accuracy"])
                print(f"draw {draw}: {name}: {found[name][-1]:.2f}", file=sys.stderr, flush=True)
    section, kept = markdown(found, 100 * results["test_accuracy"], arguments)
    publish(section, write=arguments.write)
    sys.exit(0 if kept else 1)


def others(dataset: Dataset, pair: tuple[str, str]) -> list[str]:
    return [name for name in dataset.class_names if name not in pair]


def of_classes(dataset: Dataset, names: list[str] | tuple[str, ...]) -> Dataset:
    """The images of some of the classes, with their splits."""
    numbers = [dataset.class_names.index(name) for name in names]
    kept = np.flatnonzero(np.isin(dataset.labels, numbers))
    chosen = dataset.subset(kept)
    labels = np.array([numbers.index(label) for label in chosen.labels.tolist()], np.int32)
    return Dataset(np.array(chosen.images), labels, tuple(names), ", ".join(names), chosen.splits)


def drawn(dataset: Dataset, per_class: int, draw: int) -> Dataset:
    """All test images and some training images of each class, drawn from a seed."""
    generator = np.random.default_rng(draw)
    training = dataset.splits["train"]
    few = [
        generator.choice(training[dataset.labels[training] == label], per_class, replace=False)
        for label in range(len(dataset.class_names))
    ]
    return dataset.subset(np.sort(np.concatenate([*few, dataset.splits["test"]])))


def markdown(found: dict[str, list[float]], backbone: float, arguments: argparse.Namespace) -> tuple[str, bool]:
    """The section for RESULTS.md, and whether the promise is kept."""
    transfer, best = "transfer, default", max(SCRATCH, key=lambda name: mean(found[name]))
    gains = [ours - theirs for ours, theirs in zip(found[transfer], found[best], strict=True)]
    kept = mean(gains) >= PROMISED
    paragraph = (
        f"{describe_machine({})}. The backbone (channels {', '.join(map(str, NETWORK['channels']))}, "
        f"{arguments.epochs} epochs of the eight other classes) has a test accuracy of {backbone:.1f}% on these. n = "
        f"{arguments.draws} draws of {PER_CLASS} training images a class, each with a seed of its own, tested on the "
        f"2,000 test images of {' and '.join(arguments.pair)}; chance is 50."
    )
    rows = [
        [name, mean_and_deviation(values, ".2f"), f"{min(values):.2f}–{max(values):.2f}"]
        for name, values in found.items()
    ]
    difference = f"{transfer} − {best}, draw by draw: {mean_and_deviation(gains, '+.2f')} points"
    lines = [
        f"## Transfer to {' and '.join(arguments.pair)}, {PER_CLASS} images each",
        "",
        paragraph,
        "",
        *table(["trained", "test accuracy, %, mean ± standard deviation", "range"], rows),
        "",
        f"- {difference}, promised at least {PROMISED:g}: {verdict(kept)}",
    ]
    return "\n".join(lines), kept


if __name__ == "__main__":
    main()
