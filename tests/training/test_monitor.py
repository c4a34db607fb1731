import csv
import io

import numpy as np
import pytest
from rich.console import Console

from eyebright.training.engine import StepRecords
from eyebright.training.monitor import COLUMNS, Monitor
from eyebright.training.plan import Steps


def records(loss):
    return StepRecords(np.array([9.0, loss]), np.array([0.0, 0.25], np.float32), np.ones((4, 3), np.float32))


@pytest.fixture
def monitored(make_settings, tmp_path):
    """A monitor of the run in a directory, that goes on from a step."""

    def monitor(done=0, console=None):
        return Monitor(tmp_path, make_settings(log_steps=10), 100, done, console)

    return monitor


def rows(directory):
    with (directory / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def record(monitor, *steps):
    """Records of two steps each, the last of them given; a validation after each that ends a twenty."""
    for step in steps:
        rates = np.array([0.25, 0.5], np.float32)
        two = Steps(np.array([step - 1, step]), np.zeros((2, 10), np.int32), rates, np.ones(2, np.float32), {})
        monitor.record_steps(two, records(step / 100), seconds=2.0)
        if step % 20 == 0:
            monitor.record_validation(step, 0.75, step / 1000)


def test_a_row_has_every_figure_of_a_step_or_of_a_validation(monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 20)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "step,loss,train_accuracy,learning_rate,images_per_second,validation_loss,validation_accuracy",
        "20,0.2,0.25,0.5,10.0,,",  # two steps of ten images in two seconds
        "20,,,,,0.75,0.02",
    ]


def test_only_the_log_steps_get_a_row_and_a_line(monitored, tmp_path):
    output = io.StringIO()
    with monitored(console=Console(file=output)) as monitor:
        record(monitor, 9, 10, 11, 30)
    assert [row["step"] for row in rows(tmp_path)] == ["10", "30"]
    assert output.getvalue().splitlines() == [f"Step {step}, training accuracy 0.2500" for step in (10, 30)]


def test_a_row_is_there_as_soon_as_it_is_recorded(monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10)
        assert len(rows(tmp_path)) == 1


def test_a_run_that_goes_on_keeps_what_lies_before_its_step_and_drops_the_rest(monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10, 20, 30, 40, 50, 60)
    with monitored(done=40) as monitor:
        kept = [(row["step"], bool(row["validation_accuracy"])) for row in rows(tmp_path)]
        # The batch of step 40 is still to come; the validation after 40 steps has been.
        assert kept == [("10", False), ("20", False), ("20", True), ("30", False), ("40", True)]
        record(monitor, 50)
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20", "20", "30", "40", "50"]


def test_a_run_that_begins_again_keeps_nothing(monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10, 20)
    with monitored():
        assert (tmp_path / "metrics.csv").read_text().splitlines() == [",".join(COLUMNS)]


@pytest.mark.parametrize("cut", ["4", "40,0.2", "40,0.4,0.25,0.5,10", "40,0.4,0.25,0.5,10.0,"])
def test_a_last_row_that_was_cut_short_is_dropped(cut, monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write(cut)
    with monitored(done=100) as monitor:
        record(monitor, 110)
    assert [row["step"] for row in rows(tmp_path)] == ["10", "110"]


@pytest.mark.parametrize(
    "damaged",
    [
        b"abc,0.2,0.25,0.5,10.0,,\r\n",
        b"20,0.2,0.2x5,0.5,10.0,,\r\n",
        b"20,,,,,,0.02\r\n",
        b"20,,,,,0.75,0.02,7\r\n",
        b'20,"0.2,0.25,0.5,10.0,,\r\n',
        b"20,\xff,0.25,0.5,10.0,,\r\n",
        b"9" * 5000 + b",0.2,0.25,0.5,10.0,,\r\n",
        b"9" * 200_000 + b"\r\n",
        b"\0\r\n",
        b"20,,,,,0.75,0.0",  # without its line's end: there may have been more digits
    ],
)
def test_a_damaged_row_is_dropped(damaged, monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10)
    whole = (tmp_path / "metrics.csv").read_bytes()
    (tmp_path / "metrics.csv").write_bytes(whole + damaged)
    with monitored(done=20):
        assert (tmp_path / "metrics.csv").read_bytes() == whole


def test_a_damaged_header_is_written_anew_and_the_rows_kept(monitored, tmp_path):
    with monitored() as monitor:
        record(monitor, 10, 20)
    whole = (tmp_path / "metrics.csv").read_bytes()
    (tmp_path / "metrics.csv").write_bytes(whole.replace(b"step", b"stfp").replace(b"n_acc", b"n,acc"))
    with monitored(done=30):
        assert (tmp_path / "metrics.csv").read_bytes() == whole


@pytest.mark.parametrize("lost", ["metrics.csv", None])
def test_a_run_goes_on_where_the_rows_before_are_lost(lost, monitored, tmp_path):
    if lost:
        with monitored() as monitor:
            record(monitor, 10)
        (tmp_path / lost).unlink()
    with monitored(done=20) as monitor:
        record(monitor, 30)
    assert [row["step"] for row in rows(tmp_path)] == ["30"]
