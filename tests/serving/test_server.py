"""Processes, signals and files that change."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import requests

from eyebright.serving.metrics import Metrics
from eyebright.serving.model import ServedModel
from eyebright.serving.models import Models
from eyebright.serving.options import ServerOptions

STARTED = "Started server process"


@pytest.fixture
def file(artefact, tmp_path):
    return shutil.copy(artefact, tmp_path / "made.eyebright")


def probability(server, png):
    return server.post("/predict", data=png, headers={"Content-Type": "image/png"}).json()[0]["probability"]


def test_what_is_asked_by_the_signal_to_end_is_answered(start, artefact, pngs):
    server = start(artefact, "--max-wait", "1000")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.predict, pngs[0]) for _ in range(4)]
        time.sleep(0.4)  # they have come, and wait for others to join them
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready = server.get("/readyz")
        assert (ready.status_code, ready.headers["Connection"]) == (503, "close")
        assert [one.result().status_code for one in asked] == [200] * 4
    assert server.process.wait(60) == 0


def test_a_file_that_changes_is_loaded_and_no_request_fails(start, made, file, images, pngs):
    server = start(file, "--watch-seconds", "0.2")
    expected = [float(made(seed).probabilities(images[:1]).max()) for seed in (0, 1)]
    assert probability(server, pngs[0]) == pytest.approx(expected[0], abs=1e-5)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lambda: server.predict(pngs[0])) for _ in range(60)]
        new = file.with_suffix(".new")
        new.write_bytes(made(1).artefact())
        new.replace(file)
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    server.until(lambda: probability(server, pngs[0]) == pytest.approx(expected[1], abs=1e-5))
    got = {round(answer.json()[0]["probability"], 4) for answer in answers}
    assert got <= {round(value, 4) for value in expected}
    assert server.metric('eyebright_reloads_total{model="made",outcome="done"}') == 1


def test_a_damaged_file_is_not_taken_and_what_there_was_goes_on(start, made, file, images, pngs):
    server = start(file, "--watch-seconds", "0")
    expected = float(made(0).probabilities(images[:1]).max())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.entries("reload_failed"))
    assert "damaged" in server.entries("reload_failed")[0]["error"]
    assert probability(server, pngs[0]) == pytest.approx(expected, abs=1e-5)
    file.write_bytes(made(2).artefact())
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.entries("reloaded"))
    expected = float(made(2).probabilities(images[:1]).max())
    assert probability(server, pngs[0]) == pytest.approx(expected, abs=1e-5)


def test_a_worker_that_is_killed_is_replaced_and_workers_count_together(start, artefact, pngs):
    server = start(artefact, "--workers", "2")
    children = [int(entry["event"].split("[")[1].rstrip("]")) for entry in server.entries(STARTED)]
    for _ in range(10):
        assert server.predict(pngs[0]).status_code == 200
    assert server.metric('eyebright_confidence_count{model="made"}') == 10
    os.kill(children[0], signal.SIGKILL)
    server.until(lambda: len(server.entries(STARTED)) == 3)
    for _ in range(10):
        answer = None
        while answer is None:
            try:
                answer = server.predict(pngs[0])
            except requests.ConnectionError:  # it had been taken by the one that was killed
                time.sleep(0.1)
        assert answer.status_code == 200
    assert server.stop() == 0


def test_a_worker_that_dies_while_a_damaged_file_lies_there_comes_back_when_it_is_whole(start, file, pngs):
    server = start(file, "--workers", "2", "--watch-seconds", "0")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    os.kill(int(server.entries(STARTED)[0]["event"].split("[")[1].rstrip("]")), signal.SIGKILL)
    server.until(lambda: server.entries("load_failed"))
    assert "damaged" in server.entries("load_failed")[0]["error"]
    assert server.predict(pngs[0]).status_code == 200  # by the other
    file.write_bytes(whole)
    server.until(lambda: len(server.entries(STARTED)) == 3)
    assert server.stop() == 0


def test_workers_end_with_the_process_above_them_however_it_goes(start, artefact, pngs):
    server = start(artefact, "--workers", "2")
    children = [int(entry["event"].split("[")[1].rstrip("]")) for entry in server.entries(STARTED)]
    assert server.predict(pngs[0]).status_code == 200
    server.process.kill()
    server.process.wait()
    server.until(lambda: not any(running(child) for child in children))


def running(process: int) -> bool:
    """Whether it is there, and is more than an entry that nobody has asked about."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_several_models_are_asked_by_name(start, made, artefact, tmp_path, images, pngs):
    other = tmp_path / "other one.eyebright"
    other.write_bytes(made(1).artefact())
    server = start(artefact, other, f"third={other}")
    assert server.get("/about").json()["models"] == ["made", "other-one", "third"]
    for name, seed in (("made", 0), ("other-one", 1), ("third", 1)):
        (entry,) = server.predict(pngs[0], params={"model": name}).json()
        assert entry["probability"] == pytest.approx(float(made(seed).probabilities(images[:1]).max()), abs=1e-5)
        rows = server.post(f"/v1/models/{name}:predict", json={"instances": images[:2].tolist()}).json()["predictions"]
        np.testing.assert_allclose(rows, made(seed).probabilities(images[:2]), atol=1e-5)


def test_it_abstains_and_gives_sets_as_predict_does(start, artefact, pngs):
    server = start(artefact, "--target-error", "0.3", "--conformal", "0.2", "--unlike-share", "0.3")
    for entry in server.predict(*pngs).json():
        assert {"abstained", "set", "unlike_training"} <= entry.keys()
        assert set(entry["set"]) <= {row["label"] for row in entry["top"]}
    assert 0 < server.get("/about").json()["min_confidence"] < 1


def test_drift_is_shown_once_there_are_answers_enough(start, artefact, pngs):
    server = start(artefact)
    for _ in range(3):
        server.predict(*(pngs * 4)[:40])
    assert server.metric('eyebright_drift_psi{model="made",of="classes"}') > 0


@pytest.mark.parametrize("fault", [ValueError, MemoryError, RecursionError])
def test_whatever_goes_wrong_in_loading_what_there_was_goes_on(fault, artefact, monkeypatch):
    async def reloaded():
        metrics = Metrics()
        models = Models(ServerOptions((("made", artefact),)), metrics)
        before = models.get("made")
        with monkeypatch.context() as patch:
            patch.setattr(ServedModel, "load", Mock(side_effect=fault("of a kind that nobody thought of")))
            await models.reload_all()
        assert models.get("made") is before
        assert 'eyebright_reloads_total{model="made",outcome="failed"} 1.0' in metrics.text().decode()
        await models.reload_all()
        assert models.get("made") is not before
        models.close()

    asyncio.run(reloaded())


def test_a_model_that_is_loaded_anew_has_no_drift_yet_and_all_its_classes_at_0(start, made, file, pngs):
    server = start(file, "--watch-seconds", "0")
    for _ in range(3):
        server.predict(*(pngs * 4)[:40])
    assert server.metric('eyebright_drift_psi{model="made",of="classes"}') > 0
    names = ("new", "bee", "cow", "dog")
    file.write_bytes(made(1).artefact(names))
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.entries("reloaded"))
    text = server.get("/metrics").text
    assert 'eyebright_drift_psi{model="made",of="classes"} 0.0' in text
    assert 'eyebright_predictions_total{label="new",model="made"} 0.0' in text


def half_asked(server, content):
    """A connection on which a request has begun."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(content)
    connection.sendall(head + content[:10])
    time.sleep(0.3)
    return connection


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_reaches_all_processes_and_requests_that_have_begun_are_answered(workers, start, artefact, pngs):
    server = start(artefact, "--workers", workers)
    processes = [int(entry["event"].split("[")[1].rstrip("]")) for entry in server.entries(STARTED)]
    with half_asked(server, pngs[0]) as connection:
        for process in {*processes, server.process.pid}:
            os.kill(process, signal.SIGINT)
        time.sleep(2)
        connection.sendall(pngs[0][10:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(60) == 0
    assert not [line for line in server.log if "KeyboardInterrupt" in line]


def test_a_second_signal_ends_the_moment_and_cuts_nothing_off_later(start, artefact, pngs):
    server = start(artefact)
    with half_asked(server, pngs[0]) as connection:
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        time.sleep(1.5)  # the moment is over
        connection.sendall(pngs[0][10:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(60) == 0


def test_sighup_ends_nothing_while_models_are_loaded(artefact):
    command = [sys.executable, "-c", HANG_UP.format(artefact=str(artefact))]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "lived" in done.stdout


HANG_UP = """
import os, signal, sys
from eyebright.serving import server
from eyebright.serving.model import ServedModel
from eyebright.serving.options import ServerOptions
from pathlib import Path

load = ServedModel.load.__func__

def loading(cls, *arguments, **named):
    os.kill(os.getpid(), signal.SIGHUP)
    print("lived")
    os.kill(os.getpid(), signal.SIGTERM)
    return load(cls, *arguments, **named)

ServedModel.load = classmethod(loading)
try:
    server.serve(ServerOptions((("made", Path({artefact!r})),)), "127.0.0.1", 0)
except SystemExit as end:
    sys.exit(0 if end.code == 143 else 1)
sys.exit(2)
"""


def test_answers_do_not_wait_for_acknowledgements(start, artefact, pngs):
    """With Nagle's algorithm on, each answer on a connection that is kept comes 40 ms late."""
    server = start(artefact)
    with requests.Session() as session:
        seconds = [session.get(f"{server.url}/healthz").elapsed.total_seconds() for _ in range(30)]
    assert min(seconds[1:]) < 0.03
