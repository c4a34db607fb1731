import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eyebright.data.parallel import in_processes, in_threads
from eyebright.errors import DataError

both = pytest.mark.parametrize("in_parallel", [in_threads, in_processes])


def slow(number):
    time.sleep(0.002 * (number % 3))
    return number


def inverse(number):
    time.sleep(0.001)
    return 1 / (number - 3)


def killed(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@both
def test_results_come_in_the_order_of_their_tasks(in_parallel):
    assert list(in_parallel(slow, range(40))) == list(range(40))


@both
def test_an_error_is_raised_where_its_result_would_come(in_parallel):
    before = children(os.getpid())
    results = in_parallel(inverse, range(10_000))
    assert [next(results) for _ in range(3)] == [-1 / 3, -1 / 2, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not any("work" in thread.name for thread in threading.enumerate())
    assert children(os.getpid()) == before


def test_after_an_error_nothing_more_is_begun():
    begun = []

    def work(number):
        begun.append(number)
        return inverse(number)

    with pytest.raises(ZeroDivisionError):
        list(in_threads(work, range(10_000)))
    assert len(begun) < 1000


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are threads instead of processes")


@linux
def test_a_process_that_is_killed_is_a_data_error():
    before = children(os.getpid())
    with pytest.raises(DataError, match="was killed, as systems do where memory runs out"):
        list(in_processes(killed, range(100)))
    assert children(os.getpid()) == before


SCRIPT = """
import sys, time
from eyebright.data.parallel import in_processes

def work(number):
    time.sleep(float(sys.argv[1]))
    return number

for number in in_processes(work, range(40)):
    print(number, flush=True)
"""


@linux
def test_a_script_without_a_guard_may_use_processes(tmp_path):
    """Where processes import the main script, one that starts some at its top level would start itself for ever."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script, "0"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()[-1], done.stderr) == (0, "39", "")


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_the_one_that_they_work_for(number):
    with subprocess.Popen([sys.executable, "-c", SCRIPT, "0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout.readline() == b"0\n"
        workers = children(one.pid)
        assert workers
        one.send_signal(number)
        one.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while any(Path("/proc", str(worker)).exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """The processes that one has started and that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.name))
    return found
