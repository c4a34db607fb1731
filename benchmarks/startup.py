"""How soon `eyebright --help` answers, as a whole process, beside an interpreter that does nothing.

    python benchmarks/startup.py

The two take turns, ten times each, after one turn that is not counted and fills the file caches. Prints the ten times
and the median; exit code 1 if the median is over 0.4 s or a backend was imported.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from machine import describe_machine

RUNS = 10
LIMIT = 0.4  # seconds
BACKENDS = ("tensorflow", "keras", "jax")

HELP = [sys.executable, "-m", "eyebright", "--help"]
NOTHING = [sys.executable, "-c", ""]
IMPORTED = f"""
import sys
sys.argv = ["eyebright", "--help"]
from eyebright.cli import main
try:
    main()
except SystemExit:
    pass
print(*(name for name in {BACKENDS!r} if name in sys.modules), file=sys.stderr)
"""


def main() -> int:
    seconds(HELP), seconds(NOTHING)
    pairs = [(seconds(HELP), seconds(NOTHING)) for _ in range(RUNS)]
    of_help, of_nothing = zip(*pairs, strict=True)
    imported = imported_backends()
    kept = median(of_help) <= LIMIT and not imported
    print(f"## `eyebright --help`\n\n{describe_machine({})}; n = {RUNS}.\n")
    print(f"- seconds: {', '.join(f'{value:.3f}' for value in of_help)}")
    print(f"- median {median(of_help):.3f} s, at most {LIMIT} s: {'PASS' if kept else 'FAIL'}")
    print(f"- an interpreter that does nothing: median {median(of_nothing):.3f} s")
    print(f"- of {', '.join(BACKENDS)} imported: {', '.join(imported) or 'none'}")
    return 0 if kept else 1


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def imported_backends() -> list[str]:
    done = subprocess.run([sys.executable, "-c", IMPORTED], check=True, capture_output=True, text=True)
    return done.stderr.split()


if __name__ == "__main__":
    sys.exit(main())
