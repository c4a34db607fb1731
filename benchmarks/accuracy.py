"""Test accuracy of presets over seeds, each run a process of its own.

    python benchmarks/accuracy.py --data PATH/cifar-10-batches-bin default-cnn [--seeds 0 1 …] [--write]
    python benchmarks/accuracy.py [--write]

With --write each seed's row is appended to accuracy.jsonl as soon as it is there, so that seeds may be run at different
times; without presets the rows are only summed up, and --write appends that to RESULTS.md. Rows of a preset whose
values have changed since are left out, and so are all but the newest of a seed.

The spread is that over seeds (what another run would give); the interval of a single run in its results.json is that
over images (what other test images would give). Exit code 1 unless each preset that was run keeps its promise, over as
many seeds as promised.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import signal
import sys
import tempfile
import tomllib
from math import inf
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from machine import commit, describe_machine, processor
from processes import run_measured
from report import mean_and_deviation, publish, spread, table, verdict

HERE = Path(__file__).resolve().parent
ROWS = HERE / "accuracy.jsonl"
RECIPES = HERE.parent / "src" / "eyebright" / "recipes"
TEACHER = "+teacher"  # a preset that learns from --teacher besides
LONGEST = 8 * 3600.0  # seconds that a run may take
KEPT = (
    *("test_accuracy", "test_accuracy_one_view", "tta", "validation_accuracy", "steps", "train_seconds"),
    *("total_seconds", "precision", "threads", "parameters", "weights_sha256", "test_images", "versions"),
)  # of results.json

Row = dict[str, Any]


class Promise(NamedTuple):
    """What the mean test accuracy over some seeds must lie in, and the training's minutes stay under.

    Attributes:
        seeds: how many, from 0.
        least: the lowest mean.
        most: the highest.
        minutes: of training, without AMX.
        minutes_amx: of training, with it.
        one_view: whether the mean is that without test-time augmentation; otherwise it is of what the classifier does.
    """

    seeds: int
    least: float
    most: float = 1.0
    minutes: float = inf
    minutes_amx: float = inf
    one_view: bool = False

    def minutes_on(self, processor: str) -> float:
        return self.minutes_amx if "amx_bf16" in processor else self.minutes


PROMISES = {
    "tutorial-softmax": Promise(5, 0.22, 0.32, minutes=2, minutes_amx=2),
    "tutorial-fc": Promise(5, 0.455, 0.475, minutes=2, minutes_amx=2),
    "default-softmax": Promise(5, 0.40, minutes=2, minutes_amx=2),
    "fast-fc": Promise(5, 0.4633, minutes=2, minutes_amx=2 / 60),
    "default-fc": Promise(5, 0.63, minutes=15, minutes_amx=8, one_view=True),
    "best-fc": Promise(3, 0.68, minutes_amx=45, one_view=True),
    f"best-fc{TEACHER}": Promise(3, 0.71, minutes_amx=45, one_view=True),
    "fast-cnn": Promise(5, 0.93, minutes=14, minutes_amx=6),
    "default-cnn": Promise(5, 0.94, minutes=25, minutes_amx=12),
    "best-cnn": Promise(1, 0.955),
}


def main() -> None:
    arguments = parse_arguments()
    # A terminated benchmark still ends the process that it is measuring.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = read_rows()
    for name in arguments.presets:
        for seed in arguments.seeds or range(PROMISES[name].seeds):
            rows.append(train(name, seed, arguments))
            if arguments.write:
                append_row(rows[-1])
    section, all_kept = summarise(rows, arguments.presets or list(PROMISES))
    publish(section, write=arguments.write and not arguments.presets)
    sys.exit(0 if all_kept else 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(PROMISES)
    parser.add_argument("presets", nargs="*", metavar="preset-model", help=f"of {known}; none: only sum up")
    parser.add_argument("--data", type=Path, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="as many as are promised if not given")
    parser.add_argument("--teacher", type=Path, metavar="RUN", help=f"a finished run, for best-fc{TEACHER}")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="keep the runs there; one that was cut off goes on")
    parser.add_argument("--write", action="store_true", help="keep the rows or, without presets, the section")
    arguments = parser.parse_args()
    for name in arguments.presets:
        if name not in PROMISES:
            parser.error(f"{name}: no such preset here. Known: {known}")
        if name.endswith(TEACHER) and arguments.teacher is None:
            parser.error(f"{name}: give a finished run as --teacher")
    if arguments.presets and arguments.data is None:
        parser.error("give --data")
    return arguments


def train(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """Train one preset with one seed: its row."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        runs = arguments.runs.resolve() if arguments.runs else Path(temporary)
        runs.mkdir(parents=True, exist_ok=True)
        command = training_command(name, seed, arguments, runs / f"{name}-{seed}-{values_of(name)}")
        results = json.loads(run_measured(command, temporary, timeout=LONGEST).last_line)
    teacher = teacher_record(arguments.teacher) if name.endswith(TEACHER) else None
    row = row_of(name, results, load, processor(), describe_machine({}), teacher)
    print(
        f"{name} seed {seed}: {row['test_accuracy']:.4f} in {row['train_seconds']:.1f} s", file=sys.stderr, flush=True
    )
    return row


def row_of(
    name: str, results: Row, load_before: float, processor: str | None, machine: str, teacher: Row | None = None
) -> Row:
    """The row of a run, from its results.json and where it was trained."""
    return {
        "preset": name,
        "seed": results["seed"],
        "values": values_of(name),
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M}",
        "commit": commit(),
        "processor": processor,
        "machine": machine,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "teacher": teacher,
        **{key: results[key] for key in KEPT if key in results},
    }


def training_command(name: str, seed: int, arguments: argparse.Namespace, run: Path) -> list[str]:
    command = [sys.executable, "-m", "eyebright", "train", "--json"]
    if run.exists():
        return [*command, "--resume", str(run)]
    command += [str(arguments.data.resolve()), "--preset", name.removesuffix(TEACHER), "--seed", str(seed)]
    command += ["--teacher", str(arguments.teacher.resolve())] if name.endswith(TEACHER) else []
    return [*command, "--run-dir", str(run)]


def values_of(name: str) -> str:
    """A short hash of a preset's values, whatever its comments say."""
    values = tomllib.loads((RECIPES / f"{name.removesuffix(TEACHER)}.toml").read_text(encoding="utf-8"))
    values.pop("search", None)  # what a search may try is no setting
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def teacher_record(run: Path) -> Row:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return {key: results[key] for key in ("test_accuracy", "weights_sha256")}


def read_rows() -> list[Row]:
    if not ROWS.exists():
        return []
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def append_row(row: Row) -> None:
    if row["test_images"] != 10_000:
        raise SystemExit(f"--write is for CIFAR-10, and these data have {row['test_images']:,} test images")
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def summarise(rows: list[Row], presets: list[str]) -> tuple[str, bool]:
    """The section for RESULTS.md, and whether all promises of those presets that were run are kept."""
    valid = [row for row in rows if row["preset"] in presets and row["values"] == values_of(row["preset"])]
    valid.sort(key=lambda row: (row["seed"], row["date"]))
    current = list({(row["preset"], row["seed"]): row for row in valid}.values())  # the last of each seed
    by_preset = {preset: [row for row in current if row["preset"] == preset] for preset in presets}
    summaries = [summary_line(preset, of_preset) for preset, of_preset in by_preset.items() if of_preset]
    not_run = ", ".join(preset for preset, of_preset in by_preset.items() if not of_preset)
    commits = ", ".join(sorted({row["commit"] for row in current}))
    paragraph = (
        f"Commits {commits} (+: with changes). Each run met the test set once, at its end; ± is the standard deviation "
        f"over seeds, the load is the highest before a run. Not run: {not_run or 'none'}. Machines:"
    )
    machines = [f"- {machine}" for machine in sorted({row["machine"] for row in current})]
    heads = ["preset", "seeds", "test accuracy, one view", "with test-time augmentation", "range"]
    heads += ["training, s: median (range)", "precision", "load", "promised", ""]
    lines = ["## Test accuracy on CIFAR-10 by preset", "", paragraph, "", *machines, ""]
    lines += table(heads, [cells for cells, _ in summaries])
    return "\n".join(lines), all(kept for _, kept in summaries)


def summary_line(preset: str, rows: list[Row]) -> tuple[list[str], bool]:
    """The cells of a preset, and whether its promise is kept."""
    promise = PROMISES[preset]
    of_classifier = [row["test_accuracy"] for row in rows]
    one_view = [row.get("test_accuracy_one_view", row["test_accuracy"]) for row in rows]
    checked = one_view if promise.one_view else of_classifier
    in_time = all(row["train_seconds"] <= 60 * promise.minutes_on(row["processor"]) for row in rows)
    fits = promise.least <= mean(checked) <= promise.most and in_time
    enough = len(rows) >= promise.seeds
    cells = [
        f"`{preset}`",
        ", ".join(str(row["seed"]) for row in rows),
        mean_and_deviation(one_view),
        mean_and_deviation(of_classifier) if rows[0]["tta"] != "none" else "–",
        f"{min(checked):.4f}–{max(checked):.4f}",
        seconds_by_processor(rows),
        ", ".join(sorted({row["precision"] for row in rows})),
        f"{max(row['load_before'] for row in rows):.1f}",
        promised(promise, {row["processor"] for row in rows}),
        verdict(fits) if enough or not fits else f"{len(rows)} of {promise.seeds} seeds",
    ]
    return cells, fits and enough


def seconds_by_processor(rows: list[Row]) -> str:
    processors = sorted({row["processor"] for row in rows})
    parts = [spread([row["train_seconds"] for row in rows if row["processor"] == one], 1) for one in processors]
    return parts[0] if len(parts) == 1 else "; ".join(map("{} on {}".format, parts, processors))


def promised(promise: Promise, processors: set[str]) -> str:
    upper = f" to {promise.most}" if promise.most < 1 else ""
    minutes = sorted({promise.minutes_on(one) for one in processors} - {inf})
    within = f", at most {' or '.join(f'{one:.2g}' for one in minutes)} min" if minutes else ""
    return f"{'one view ' if promise.one_view else ''}{'' if upper else '≥ '}{promise.least}{upper}{within}"


if __name__ == "__main__":
    main()
