"""SIGKILLs at random moments and in the midst of checkpoint writes, each followed by `eyebright train --resume`.

    python benchmarks/kills.py [--data PATH/cifar-10-batches-bin] [--runs tutorial fc cnn] [--kills N] [--write]
    python benchmarks/kills.py --backend jax …

Every run that was killed must come to the `weights_sha256` of the run that was left alone. Every second kill is aimed
at a checkpoint: it waits for one after a random one to begin to be written. What a kill hit is read off what it left:
a checkpoint under the name that it has while it is being written. Exit code 1 if any weights differ.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from machine import describe_machine
from processes import run_measured
from report import publish, table, verdict


class Scenario(NamedTuple):
    """A kind of run.

    Attributes:
        about: what it is, in words.
        kills: how many it has to stand.
        flags: of its training.
    """

    about: str
    kills: int
    flags: tuple[str, ...]


SCENARIOS = {
    "tutorial": Scenario(
        "the tutorial's network, plain SGD",
        30,
        ("--preset", "tutorial", "--max-steps", "400", "--checkpoint-steps", "20"),
    ),
    "fc": Scenario(
        "dropout, batch normalisation, AdamW, one-cycle, clipped gradients",
        30,
        (
            *("--layers", "2", "--hidden-units", "512", "--dropout", "0.2", "--batch-norm", "--optimizer", "adamw"),
            *("--weight-decay", "0.05", "--schedule", "one-cycle", "--clip-norm", "1", "--batch-size", "200"),
            *("--max-steps", "200", "--checkpoint-steps", "10"),
        ),
    ),
    "cnn": Scenario(
        "convolutions, Muon, EMA of the weights, dropout; flips, shifts, cutout, MixUp and CutMix",
        10,
        (
            *("--model", "cnn", "--channels", "16,32,32", "--augment", "strong", "--averaging", "ema"),
            *("--averaging-decay", "0.99", "--dropout", "0.1", "--optimizer", "muon", "--batch-size", "100"),
            *("--max-steps", "120", "--checkpoint-steps", "10"),
        ),
    ),
}
IN_WRITING, EARLY, IN_TRAINING = "in a checkpoint's writing", "before the first checkpoint", "in training"


class Undisturbed(NamedTuple):
    """The run that was left alone.

    Attributes:
        weights_sha256: of its classifier.
        steps: its length.
        seconds: from the appearance of its directory to the end of its process.
    """

    weights_sha256: str
    steps: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="what to train on; CIFAR-10 for figures to keep")
    parser.add_argument("--runs", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), help="kinds of run")
    parser.add_argument("--kills", type=int, help="of each kind; as many as it has to stand if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--backend", default="tensorflow", help="what computes: tensorflow or jax")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.kills is not None and arguments.kills < 1:
        parser.error("--kills is at least 1")
    data = str(Path(arguments.data).resolve()) if Path(arguments.data).exists() else arguments.data
    chance = random.Random(arguments.seed)
    rows, all_same = [], True
    for about, kills, flags in (SCENARIOS[name] for name in arguments.runs):
        flags = (*flags, "--backend", arguments.backend)
        undisturbed = leave_alone(data, flags)
        numbers = range(arguments.kills or kills)
        outcomes = [kill_and_resume(data, flags, undisturbed, number, chance) for number in numbers]
        row, same = summarise(about, outcomes, undisturbed.weights_sha256)
        rows.append(row)
        all_same = all_same and same
    paragraph = (
        f"{describe_machine({})}. Backend {arguments.backend}. Data: {Path(data).name}. Each kill is of a new run and "
        "is followed by `--resume`; every second one is aimed at a checkpoint's writing."
    )
    heads = ["run", "SIGKILLs", IN_WRITING, EARLY, IN_TRAINING, "same weights to the bit", ""]
    publish("\n".join(["## Killed and resumed", "", paragraph, "", *table(heads, rows)]), write=arguments.write)
    sys.exit(0 if all_same else 1)


def summarise(about: str, outcomes: list[tuple[str, str]], expected: str) -> tuple[list[str], bool]:
    """A row of the table, and whether all weights are those that were expected."""
    hit = Counter(where for where, _ in outcomes)
    same = sum(sha == expected for _, sha in outcomes)
    counts = [len(outcomes), hit[IN_WRITING], hit[EARLY], hit[IN_TRAINING]]
    all_same = same == len(outcomes)
    return [about, *map(str, counts), f"{same} of {len(outcomes)}", verdict(all_same)], all_same


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "eyebright", "train", *arguments, "--json"]


def leave_alone(data: str, flags: tuple[str, ...]) -> Undisturbed:
    with tempfile.TemporaryDirectory() as directory:
        measured = run_measured(command(data, *flags, "--run-dir", "run"), directory)
        appeared = (Path(directory) / "run" / "settings.toml").stat().st_mtime
        seconds = (Path(directory) / "run" / "results.json").stat().st_mtime - appeared
    results = json.loads(measured.last_line)
    print(f"undisturbed: {results['weights_sha256'][:12]} in {seconds:.1f} s", file=sys.stderr, flush=True)
    return Undisturbed(results["weights_sha256"], results["steps"], seconds)


def kill_and_resume(
    data: str, flags: tuple[str, ...], undisturbed: Undisturbed, number: int, chance: random.Random
) -> tuple[str, str]:
    """Kill a new run and go on with it: what the kill hit, and the SHA-256 of the weights in the end."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        training = command(data, *flags, "--run-dir", "run")
        while (where := kill(training, run, undisturbed, number % 2 == 1, chance)) is None:
            shutil.rmtree(run)  # it was finished before: once more
        resumed = run_measured(command("--resume", "run", *flags[-2:]), directory)  # on the same backend
    sha = str(json.loads(resumed.last_line)["weights_sha256"])
    verdict = "same weights" if sha == undisturbed.weights_sha256 else f"OTHER WEIGHTS: {sha[:12]}"
    print(f"kill {number + 1}: {where}: {verdict}", file=sys.stderr, flush=True)
    return where, sha


def kill(
    training: list[str], run: Path, undisturbed: Undisturbed, at_a_checkpoint: bool, chance: random.Random
) -> str | None:
    """Start a training and kill it. What the kill hit, or None where the training was over before."""
    with (run.parent / "output").open("w") as output:
        process = subprocess.Popen(training, cwd=run.parent, stdout=output, stderr=output, start_new_session=True)
        try:
            wait(process, lambda: (run / "settings.toml").exists())
            if at_a_checkpoint:
                step = chance.randrange(undisturbed.steps)
                wait(process, lambda: newest_checkpoint(run) >= step)
                wait(process, lambda: is_writing(run), every=0.0)
            else:
                time.sleep(chance.uniform(0, undisturbed.seconds))
        finally:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(training)}: exit code {code}\n{(run.parent / 'output').read_text()[-2000:]}")
    if code == 0:
        return None
    if is_writing(run):
        return IN_WRITING
    return IN_TRAINING if newest_checkpoint(run) else EARLY


def wait(process: subprocess.Popen[bytes], happened: Callable[[], bool], every: float = 0.005) -> None:
    """Return when it has happened, or when the process has ended."""
    while process.poll() is None and not happened():
        time.sleep(every)


def checkpoint_names(run: Path) -> list[str]:
    directory = run / "checkpoints"
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []


def newest_checkpoint(run: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    steps = (name.removeprefix("step-") for name in checkpoint_names(run))
    return max((int(step) for step in steps if step.isdigit()), default=0)


def is_writing(run: Path) -> bool:
    """Whether a checkpoint is being written, or was when the process was killed."""
    return any(name.startswith(".writing-step-") for name in checkpoint_names(run))


if __name__ == "__main__":
    main()
