"""`serve --ray`: the tests of the server, of a server whose answers come from a Ray cluster."""

import importlib.util
import inspect
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, where tests run in several processes

HERE = Path(__file__).parent
# What replicas log is in Ray's files, not on the standard error of the process that was started.
OF_THE_LOG = {"test_the_log_has_a_line_of_json_a_request_and_nothing_of_pictures"}


def load(name):
    spec = importlib.util.spec_from_file_location(f"of_the_server_{name}", HERE / f"test_{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def of_the_server(name):
    """The tests of a module that ask the server which all of them share, and the fixtures that they need."""
    module = load(name)
    tests = {
        one: value
        for one, value in vars(module).items()
        if one.startswith("test_") and "served" in inspect.signature(value).parameters and one not in OF_THE_LOG
    }
    assert tests
    wanted = {name for test in tests.values() for name in inspect.signature(test).parameters}
    return {**{one: value for one, value in vars(module).items() if one in wanted}, **tests}


for name in ("predict", "limits", "gate"):
    globals().update(of_the_server(name))


@pytest.fixture(scope="module")
def served(server_class, artefact):
    """In the place of the server in `conftest.py`: one by a cluster of its own."""
    directory = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: names of sockets are
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    server = server_class(
        artefact, "--receive-seconds", "2", "--max-body", "1", "--max-images", "8", "--max-pixels", "1000000",
        "--ray", "local", environment={**secret, "RAY_TMPDIR": directory},
    )  # fmt: skip
    yield server
    assert server.stop() == 0, "".join(server.log)
    shutil.rmtree(directory, ignore_errors=True)


def test_more_replicas_than_there_are_at_first_need_a_cluster(process_of_serve, artefact):
    code, err = process_of_serve(artefact, "--max-workers", "2")
    assert (code, err) == (2, "SettingsError: --max-workers 2: a cluster starts more of them: give --ray as well.\n")
    code, err = process_of_serve(artefact, "--max-workers", "2", "--workers", "3", "--ray", "local")
    assert (code, err) == (2, "SettingsError: --max-workers 2: less than --workers 3.\n")


@pytest.fixture
def process_of_serve():
    def run(*arguments):
        command = [sys.executable, "-m", "eyebright", "serve", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
        return done.returncode, done.stderr

    return run
