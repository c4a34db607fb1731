"""`train --workers`: the run is the one of one process, and whoever dies on the way, it ends as if nobody had."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eyebright import preset_settings
from eyebright.cluster.batches import check_batch
from eyebright.errors import SettingsError

PROGRAM = (sys.executable, "-m", "eyebright")
STEPS = Path(__file__).parent / "steps_of_a_group.py"
FC = {
    "model": "fc", "preset": "default", "hidden_units": 32, "batch_size": 100, "precision": "float32",
    "learning_rate": 1e-3, "batch_norm": True, "dropout": 0.2, "augment": "strong", "averaging": "ema",
    "accumulate": 2, "l2": 1e-4, "steps": 12,
}  # fmt: skip
CNN = {"model": "cnn", "preset": "default", "channels": [4, 8], "batch_size": 20, "precision": "float32", "steps": 2}
TRAIN = (
    "train", "digits", "--model", "fc", "--hidden-units", "32", "--batch-size", "100", "--precision", "float32",
    "--learning-rate", "0.001", "--log-steps", "1",
)  # fmt: skip
TOLERANCE = 1e-4  # of a variable, ‖Δ‖/‖w‖: the order of sums is another


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What some steps come to, by so many processes."""
    directory, made = tmp_path_factory.mktemp("trained"), {}

    def train(processes, **given):
        from conftest import free_port

        key = json.dumps([processes, given])
        if key not in made:
            path = directory / f"{len(made)}.npz"
            address = f"127.0.0.1:{free_port()}"
            started = [
                subprocess.Popen([sys.executable, STEPS, path, json.dumps(given), address, str(processes), str(number)])
                for number in range(processes)
            ]
            assert started[0].wait(120) == 0
            for process in started:
                process.kill()
                process.wait()
            made[key] = dict(np.load(path))
        return made[key]

    return train


def relative(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)


@pytest.mark.parametrize("given", [FC, CNN], ids=["fc", "cnn"])
def test_two_processes_come_to_the_weights_statistics_and_answers_of_one(trained, given):
    one, two = trained(1, **given), trained(2, **given)
    assert one.keys() == two.keys()
    for name in one:
        assert relative(two[name], one[name]) <= TOLERANCE, name
    assert any("moving_variance" in name for name in one)


def test_what_each_process_computes_counts(trained):
    """Processes that are not connected would each train a model of its own, to the same accuracy."""
    one, damaged = trained(1, **FC), trained(2, **FC, damaged=True)
    first_loss = abs(one["losses"][0] - damaged["losses"][0]) / one["losses"][0]
    assert first_loss > 0.01
