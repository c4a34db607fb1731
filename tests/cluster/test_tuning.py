"""`tune --ray`: the search is the one of `tune`, whoever trains its trials, and whatever is killed on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from eyebright.cluster.connection import enter
from eyebright.cluster.tuning import Cluster
from eyebright.errors import DataError, SettingsError

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, where tests run in several processes

PROGRAM = (sys.executable, "-m", "eyebright")
SEARCH = (
    "tune", "digits", "--model", "softmax", "--max-steps", "9", "--trials", "2", "--no-prune", "--no-refit", "--json"
)  # fmt: skip
OF_TIME = {"seconds", "train_seconds"}


def trials(directory):
    with (directory / "trials.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name not in OF_TIME} for row in csv.DictReader(file)]


def test_killed_and_resumed_it_comes_to_what_it_comes_to_on_one_machine(eyebright, environment, cluster, tmp_path):
    begun = [*PROGRAM, *SEARCH, "--run-dir", str(tmp_path / "ray"), "--jobs", "1", "--threads", "1", "--ray", cluster]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(begun, env=environment, start_new_session=True, **quiet)
    while not list(tmp_path.glob("ray/trials/trial-0-part-9/settings.toml")):
        assert first.poll() is None
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    code, out, err = eyebright("tune", "--resume", tmp_path / "ray", "--ray", cluster, "--no-refit", "--json")
    assert code == 0, err
    assert json.loads(out)["trials"]["all"] == 2
    code, _, err = eyebright(*SEARCH, "--run-dir", tmp_path / "here", "--threads", "1")
    assert code == 0, err
    assert trials(tmp_path / "ray") == trials(tmp_path / "here")
    assert (tmp_path / "ray" / "report.html").exists()


def test_threads_follow_from_jobs_on_the_smallest_machine():
    cluster = Cluster([4, 8])
    assert [cluster.threads(jobs, None) for jobs in (1, 2, 3, 4, 12)] == [4, 4, 2, 2, 1]
    assert cluster.threads(2, 3) == 3
    with pytest.raises(SettingsError, match=r"--jobs 13: give 1 to 12, the cluster's processors\."):
        cluster.threads(13, None)


def test_a_worker_that_does_not_find_what_it_needs_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"nowhere: not on .*, a machine of the cluster: No such file or directory"):
        enter(tmp_path / "nowhere", tmp_path)
    with pytest.raises(DataError, match=r"study: not on .*Give one that all its machines share"):
        enter(tmp_path, tmp_path / "study")
