"""SIGKILLs of `eyebright tune` at random moments, each followed by `--resume`: no trial is lost, none is there twice.

    python benchmarks/tune_kills.py [--kills N] [--trials N] [--write]

One search with parallel jobs on the digits is killed as often as asked for, every second time the whole group of
processes, otherwise the parent alone, whose workers then have to end by themselves. After each kill what its study says
of every trial is compared with what it said before: a trial that was over must be the same, to the last digit. The
moment is drawn anew each time: every third kill comes while the search starts, the others once a trial has come to its
end and a while after that. Exit code 1 if anything differs, if
a process is left, or if the search does not end with the trials that were asked for, each under its own number.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from machine import describe_machine
from report import publish, table, verdict

FLAGS = ("digits", "--model", "fc", "--preset", "fast", "--epochs", "2", "--jobs", "2")
START, WHILE = 12.0, 4.0  # seconds: a kill comes within the first of the start, or the second of a trial's end
END_SECONDS = 10.0  # that workers have to end in when their parent is gone
GROUP, PARENT = "the whole group", "the parent alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="how many")
    parser.add_argument("--trials", type=int, default=200, help="of the search; it is made longer where it ends early")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        search = Path(directory) / "search"
        kills, faults = kill_often(search, arguments.kills, arguments.trials, chance)
        trials, faults_at_end = finish(search)
    faults += faults_at_end
    for fault in faults:
        print(fault, file=sys.stderr)
    paragraph = (
        f"{describe_machine({})}. Data: digits. One search, two jobs, killed and resumed; the trials that were over "
        "before a kill are compared with what the study says of them after it."
    )
    heads = [
        "SIGKILLs",
        GROUP,
        PARENT,
        "trials over at the first and the last kill",
        "trials at the end",
        "lost or changed",
        "",
    ]
    over = f"{kills[0][1]}, {kills[-1][1]}"
    hit = Counter(what for what, _ in kills)
    row = [str(len(kills)), str(hit[GROUP]), str(hit[PARENT]), over, str(trials), str(len(faults)), verdict(not faults)]
    publish(
        "\n".join(["## A search killed and resumed", "", paragraph, "", *table(heads, [row])]), write=arguments.write
    )
    sys.exit(1 if faults else 0)


def kill_often(search: Path, kills: int, trials: int, chance: random.Random) -> tuple[list[tuple[str, int]], list[str]]:
    """Kill a search so many times: what each kill hit and how many trials were over by then, and what went wrong."""
    done: list[tuple[str, int]] = []
    faults: list[str] = []
    known: dict[int, Any] = {}
    while len(done) < kills:
        begun = search.exists()
        arguments = ("--resume", str(search), "--jobs", "2") if begun else (*FLAGS, "--run-dir", str(search))
        command = [sys.executable, "-m", "eyebright", "tune", *arguments, "--trials", str(trials), "--no-refit"]
        with (search.parent / "output").open("w") as output:
            process = subprocess.Popen(command, cwd=search.parent, stdout=output, stderr=output, start_new_session=True)
            wait_for_moment(process, search, known, len(done), chance)
            what = GROUP if len(done) % 2 == 0 else PARENT
            if process.poll() is None:
                (os.killpg if what == GROUP else os.kill)(process.pid, signal.SIGKILL)
            code = process.wait()
        if code == 0:  # it came to its end: there is more to do
            trials += 50
            continue
        if code != -signal.SIGKILL:
            raise SystemExit(f"{' '.join(command)}: exit code {code}\n{(search.parent / 'output').read_text()[-2000:]}")
        if not ends(process.pid):
            faults.append(f"kill {len(done) + 1}: processes are left")
            os.killpg(process.pid, signal.SIGKILL)
        found = over(search)
        faults += [
            f"kill {len(done) + 1}: trial {n} was {known[n]}, is {found.get(n)}"
            for n in known
            if found.get(n) != known[n]
        ]
        known = found
        done.append((what, len(known)))
        print(f"kill {len(done)}, {what}: {len(known)} trials over", file=sys.stderr, flush=True)
    return done, faults


def wait_for_moment(
    process: subprocess.Popen[bytes], search: Path, known: dict[int, Any], kills: int, chance: random.Random
) -> None:
    """Return when it is time for the next kill, or when the process has ended."""
    if kills % 3 == 2:
        time.sleep(chance.uniform(0.5, START))
        return
    while process.poll() is None and len(over(search)) == len(known):
        time.sleep(0.02)
    time.sleep(chance.uniform(0.0, WHILE))


def finish(search: Path) -> tuple[int, list[str]]:
    """Let a search come to its end: how many trials it has, and what is wrong with that."""
    known = over(search)
    wanted = max(known, default=0) + 10
    command = [
        sys.executable,
        "-m",
        "eyebright",
        "tune",
        "--resume",
        str(search),
        "--jobs",
        "2",
        "--trials",
        str(wanted),
        "--json",
        "--quiet",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr[-2000:]}")
    results = json.loads(ended.stdout.splitlines()[-1])
    found = over(search)
    faults = [f"at the end: trial {n} was {known[n]}, is {found.get(n)}" for n in known if found.get(n) != known[n]]
    with (search / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != wanted or results["trials"]["all"] != wanted or results["trials"]["unfinished"]:
        faults.append(f"at the end: {len(rows)} trials in trials.csv, {results['trials']}, {wanted} asked for")
    figures = [tuple(value for name, value in row.items() if name != "trial") for row in rows]
    if len({row["trial"] for row in rows}) < len(rows) or len(set(figures)) < len(rows):
        faults.append("at the end: a trial is there twice")
    tested = [path for path in search.rglob("results.json") if "test_accuracy" in json.loads(path.read_text())]
    if len(tested) != 1:
        faults.append(f"at the end: {len(tested)} runs met the test images")
    return len(rows), faults


def over(search: Path) -> dict[int, Any]:
    """What the study says of each trial that is over: state, values and all that was noted; by its number."""
    path = search / "study.db"
    if not path.exists():
        return {}
    with sqlite3.connect(path) as study:
        trials = study.execute("SELECT trial_id, number, state FROM trials WHERE state NOT IN ('RUNNING', 'WAITING')")
        found = {}
        for identity, number, state in trials.fetchall():
            parts = [
                study.execute(f"SELECT * FROM {name} WHERE trial_id = ? ORDER BY 1", [identity]).fetchall()
                for name in ("trial_params", "trial_values", "trial_user_attributes", "trial_intermediate_values")
            ]
            found[number] = (state, parts)
    return found


def ends(group: int) -> bool:
    """Whether all processes of a group are gone within `END_SECONDS`."""
    last = time.monotonic() + END_SECONDS
    while time.monotonic() < last:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    main()
