"""`eyebright tune` on CIFAR-10: what a search finds in half an hour, and whether random search would find it, too.

    python benchmarks/tune.py --data PATH/cifar-10-batches-bin fc tutorial random [--arms ARM …] [--write]

- `fc`: 30 minutes around the fully connected network's preset. Promised: the winner is not below the preset on the
  validation images, and has at least 0.63 on the test images, which are met once.
- `tutorial`: 10 minutes from the tutorial's own settings, with its kind of network: no whitening, no augmentation;
  hidden units, learning rate and whether it falls, L2, batch size and steps vary. Promised: at least 0.52 on the test
  images.
- `random`: three repeats of 8 minutes each around the tutorial's settings, by the tree-structured Parzen estimator with
  successive halving, by random search with successive halving, and by plain random search, in which every trial is
  trained to its end; all with the same trial 0. They are compared on validation images, and no test image is met.

The training of the best settings comes after the minutes of a search. Exit code 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe_machine
from processes import run_measured
from report import mean_and_deviation, publish, table, verdict

AFTER = 1800.0  # seconds at most for all that comes before and after the minutes of a search
REPEATS = 3


class Arm(NamedTuple):
    """A way to choose settings: in words, and its flags."""

    title: str
    flags: tuple[str, ...]


ARMS = {
    "tune": Arm("Parzen estimator, halving", ()),
    "random-halving": Arm("random, halving", ("--sampler", "random")),
    "random": Arm("random, to the end", ("--sampler", "random", "--no-prune")),
}


class Goal(NamedTuple):
    """A search with a promise: its flags, minutes, and the test accuracy that it must reach."""

    title: str
    flags: tuple[str, ...]
    minutes: float
    accuracy: float


GOALS = {
    "fc": Goal("A search around the fully connected network's preset", ("--model", "fc"), 30, 0.63),
    "tutorial": Goal("A search from the tutorial's settings", ("--model", "fc", "--preset", "tutorial"), 10, 0.52),
}
RANDOM_MINUTES = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=[*GOALS, "random"], help="which searches")
    parser.add_argument("--data", required=True, help="directory of CIFAR-10, or digits to try this script")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS], help="of random: what is compared")
    parser.add_argument("--minutes", type=float, help="of each search, in the place of what is promised (to try it)")
    parser.add_argument("--keep", type=Path, help="directory for the searches; a temporary one if not given")
    parser.add_argument("--write", action="store_true", help="append the sections to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    data = str(Path(arguments.data).resolve()) if Path(arguments.data).exists() else arguments.data
    kept = []
    with tempfile.TemporaryDirectory() as directory:
        place = (arguments.keep or Path(directory)).resolve()
        place.mkdir(parents=True, exist_ok=True)

        def search(name: str, minutes: float, *flags: str) -> dict[str, Any]:
            minutes = arguments.minutes or minutes
            command = [sys.executable, "-m", "eyebright", "tune", data, "--minutes", str(minutes), "--run-dir", name]
            command += ["--jobs", str(arguments.jobs), "--json", *flags]
            results = json.loads(run_measured(command, str(place), timeout=60 * minutes + AFTER).last_line)
            print(f"{name}: {results['trials']}, best {results['best']}", file=sys.stderr, flush=True)
            return results

        for what in arguments.what:
            section, promise = (
                against_random(search, arguments.arms) if what == "random" else towards(what, GOALS[what], search)
            )
            about = f"{describe_machine({})}. Data: {Path(data).name}. {arguments.jobs} trials at once."
            publish("\n".join([section[0], "", about, "", *section[1:]]), write=arguments.write)
            kept.append(promise)
    sys.exit(0 if all(kept) else 1)


def towards(name: str, goal: Goal, search: Callable[..., dict[str, Any]]) -> tuple[list[str], bool]:
    """A search that has to reach a test accuracy: its section, and whether all promises are kept."""
    found = search(name, goal.minutes, *goal.flags)
    best, first, trials = found["best"], found["first"], found["trials"]
    above = best["validation_accuracy"] >= first["validation_accuracy"]
    enough = found["test_accuracy"] >= goal.accuracy
    once = found["test_looks"] == 1
    rows = [
        ["validation accuracy, trial 0 (the preset)", figure(first, "validation_accuracy"), ""],
        [
            f"validation accuracy, trial {best['trial']} (the winner)",
            figure(best, "validation_accuracy"),
            verdict(above),
        ],
        [f"test accuracy of the winner, at least {goal.accuracy}", figure(found, "test_accuracy"), verdict(enough)],
        ["looks at the test images", str(found["test_looks"]), verdict(once)],
        ["optimism: validation less test", f"{found['optimism']:+.4f}", ""],
    ]
    values = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in best["values"].items()
    )
    words = (
        f"{found['seconds'] / 60:.1f} minutes, {trials['all']} trials: {trials['finished']} trained to the end, "
        f"{trials['pruned']} ended early, {trials['failed']} failed, {trials['unfinished']} not finished in time. "
        f"The winner: {values}."
    )
    return [f"## {goal.title}", words, "", *table(["", "", ""], rows)], above and enough and once


def against_random(search: Callable[..., dict[str, Any]], arms: list[str]) -> tuple[list[str], bool]:
    """Ways to choose settings against each other, the same time for each: the section; nothing is promised."""
    flags = ("--model", "fc", "--preset", "tutorial", "--no-refit")
    searches: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for seed in range(REPEATS):  # in turn, so that what else the machine does falls on all
        for name, found in searches.items():
            where = f"{name}-{seed}"
            found.append(search(where, RANDOM_MINUTES, *flags, *ARMS[name].flags, "--seed", str(seed)))
    rows = []
    for name, found in searches.items():
        best = [one["best"]["validation_accuracy"] for one in found]
        first = [one["first"]["validation_accuracy"] for one in found]
        trials = [f"{one['trials']['all']} ({one['trials']['finished']})" for one in found]
        each = ", ".join(f"{one:.4f}" for one in best)
        rows.append([ARMS[name].title, mean_and_deviation(first), mean_and_deviation(best), each, ", ".join(trials)])
    heads = ["settings chosen by", "trial 0", "best validation accuracy", "of each repeat", "trials (to the end)"]
    images = found[0]["validation_images"]
    words = (
        f"{REPEATS} repeats of {found[0]['seconds'] / 60:.0f} minutes each, with the seeds 0 to {REPEATS - 1}, around "
        f"the tutorial's settings, on {images:,} validation images."
    )
    return ["## The search against random search", words, "", *table(heads, rows)], True


def figure(values: dict[str, Any], name: str) -> str:
    """With its 95% interval."""
    low, high = values[f"{name}_ci95"]
    return f"{values[name]:.4f} ({low:.4f} to {high:.4f})"


if __name__ == "__main__":
    main()
