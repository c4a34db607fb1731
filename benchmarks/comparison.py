"""How often `eyebright compare` sees a difference where there is none, and what it says of real runs.

Simulated pairs of classifiers that are right equally often, on images that are harder or easier for both: McNemar's
exact test must call at most 5.5% of the pairs different. Beside it, how often the interval holds the true difference,
of none and of two points.

    python benchmarks/comparison.py                                    # the simulation, a minute
    python benchmarks/comparison.py --runs FAST DEFAULT DEFAULT2 --write

DEFAULT and DEFAULT2 are two seeds of a preset, FAST is a run of a preset that is worse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.comparison import bootstrap_interval, mcnemar_p_value
from machine import describe_machine
from report import Check, check_table, publish, table

PAIRS = 10_000
PAIRS_WITH_INTERVALS = 400
SIZES = (100, 1_000, 10_000)  # images
ACCURACIES = (0.5, 0.9, 0.99)
AGREEMENT = 0.6  # share of the images that are right or wrong for both alike
MOST_FALSE_ALARMS = 0.055
TRUE_DIFFERENCE = 0.02


class Simulated(NamedTuple):
    """What was found of pairs on so many images at such an accuracy.

    Attributes:
        n: images.
        accuracy: of both.
        false_alarms: share of the pairs without a difference that the test calls different.
        coverage: share of the intervals that hold a difference of 0.
        coverage_of_two_points: the same where the second is two points worse.
    """

    n: int
    accuracy: float
    false_alarms: float
    coverage: float
    coverage_of_two_points: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs=3, metavar=("FAST", "DEFAULT", "DEFAULT2"), help="finished runs")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    found = [simulate(n, accuracy, random) for n in SIZES for accuracy in ACCURACIES]
    checks = [
        Check("false alarms, the most of all", [max(one.false_alarms for one in found)], MOST_FALSE_ALARMS, digits=4)
    ]
    lines = simulation_table(found)
    if arguments.runs:
        fast, default, other = arguments.runs
        answers = [compare(default, fast), compare(default, other)]
        kept = [answers[0]["sentence"].startswith(f"{answers[0]['first']} is better by ")]
        kept.append("cannot be told apart" in answers[1]["sentence"])
        checks.append(Check("of the two comparisons, those that say what they should", [float(sum(kept))], 2, True, 0))
        lines += ["", *(f"- {one['sentence']} (McNemar's p = {one['p_value']:.2g})" for one in answers)]
    heading = f"## Comparison: {PAIRS:,} simulated pairs each"
    publish("\n".join([heading, "", describe_machine({}), "", *lines, "", *check_table(checks)]), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def simulate(n: int, accuracy: float, random: np.random.Generator) -> Simulated:
    first, second = discordant(n, accuracy, 0.0, PAIRS, random)
    alarms = float((mcnemar_p_value(first, second) < 0.05).mean())
    covered = [
        coverage(n, *discordant(n, accuracy, difference, PAIRS_WITH_INTERVALS, random), -difference)
        for difference in (0.0, TRUE_DIFFERENCE)
    ]
    return Simulated(n, accuracy, alarms, *covered)


def discordant(
    n: int, accuracy: float, difference: float, pairs: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many of n images the first alone is right about, and how many the second, int64 [pairs] each.

    Of the images AGREEMENT are right or wrong for both alike; about the others they are right independently. The second
    is right about `difference` fewer.
    """
    alone = (1 - AGREEMENT) * accuracy * (1 - accuracy)
    shares = [alone + difference, alone, 1 - 2 * alone - difference]
    draws = random.multinomial(n, shares, pairs)
    return draws[:, 0], draws[:, 1]


def coverage(n: int, first: NDArray[np.int64], second: NDArray[np.int64], true: float) -> float:
    """Share of the 95% intervals that hold the true difference."""
    held = 0
    for only_first, only_second in zip(first.tolist(), second.tolist(), strict=True):
        differences = np.repeat([-1, 0, 1], [only_first, n - only_first - only_second, only_second])
        low, high = bootstrap_interval(differences)
        held += low <= true <= high
    return held / len(first)


def compare(first: Path, second: Path) -> dict[str, Any]:
    """What the command says."""
    command = [sys.executable, "-m", "eyebright", "compare", str(first), str(second), "--json"]
    answer: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return answer


def simulation_table(found: list[Simulated]) -> list[str]:
    heads = ["images", "accuracy of both", "called different at 5%", "95% interval holds 0"]
    heads.append(f"… holds a difference of {100 * TRUE_DIFFERENCE:.0f} points")
    rows = [
        [
            f"{one.n:,}",
            f"{one.accuracy}",
            *(f"{share:.1%}" for share in (one.false_alarms, one.coverage, one.coverage_of_two_points)),
        ]
        for one in found
    ]
    return table(heads, rows)


if __name__ == "__main__":
    main()
