"""Addresses where no cluster answers, and a Ray that is not installed."""

import contextlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from eyebright.cli.options import with_address_of_ray

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, where tests run in several processes


@pytest.mark.parametrize("address", ["auto", "local", "head:6379", "[::1]:6379"])
def test_an_address_that_follows_is_rays(address):
    assert with_address_of_ray(["tune", "--ray", address]) == ["tune", "--ray", address]


@pytest.mark.parametrize("after", [["photos"], ["--json"], [], ["--", "a"]])
def test_what_else_follows_is_none(after):
    assert with_address_of_ray(["predict", "--ray", *after]) == ["predict", "--ray=auto", *after]


def test_after_two_dashes_there_are_no_options():
    assert with_address_of_ray(["predict", "--", "--ray"]) == ["predict", "--", "--ray"]


def predict(eyebright, artefact, pictures, tmp_path, *flags, **options):
    return eyebright("predict", artefact, pictures / "00.png", "-o", tmp_path / "out", *flags, **options)


def test_what_is_no_address_is_refused(eyebright, artefact, pictures, tmp_path):
    code, out, err = predict(eyebright, artefact, pictures, tmp_path, "--ray=head")
    assert (code, out) == (2, "")
    assert err == "SettingsError: --ray head: give auto, local or HOST:PORT, as `ray start` prints it.\n"


def test_where_nothing_listens_that_is_said(eyebright, artefact, pictures, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code, _, err = predict(eyebright, artefact, pictures, tmp_path, "--ray", f"127.0.0.1:{port}")
    assert code == 2
    assert err.startswith(f"ClusterError: --ray 127.0.0.1:{port}: Connection refused. Start Ray there (ray start ")
    assert "Traceback" not in err


def test_where_nothing_answers_it_waits_for_ten_seconds(eyebright, artefact, pictures, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=take_and_be_silent, args=(server,), daemon=True).start()
        began = time.monotonic()
        code, _, err = predict(eyebright, artefact, pictures, tmp_path, "--ray", f"127.0.0.1:{port}")
        assert time.monotonic() - began < 30  # starting, on a busy machine, and 10 s
    assert code == 2
    assert err.startswith(f"ClusterError: --ray 127.0.0.1:{port}: no cluster of Ray answered within 10 s.")


def test_a_cluster_with_another_secret_does_not_answer_and_that_is_said(
    eyebright, environment, cluster, artefact, pictures, tmp_path
):
    other = {**environment, "RAY_AUTH_TOKEN": "0" * 64}
    code, _, err = predict(eyebright, artefact, pictures, tmp_path, "--ray", cluster, env=other)
    assert code == 2
    assert err.startswith(f"ClusterError: --ray {cluster}: the cluster has another secret: give it by RAY_AUTH_TOKEN")


def take_and_be_silent(server):
    with contextlib.ExitStack() as taken, contextlib.suppress(OSError):
        while True:
            taken.enter_context(server.accept()[0])


def test_the_address_of_the_environment_is_tried_too(eyebright, environment, artefact, pictures, tmp_path):
    named = {**environment, "RAY_ADDRESS": "127.0.0.1:1"}
    code, _, err = predict(eyebright, artefact, pictures, tmp_path, "--ray", env=named)
    assert code == 2
    assert err.startswith("ClusterError: --ray 127.0.0.1:1: Connection refused.")


COMMANDS = {
    "predict": ["predict", "run", "a.png", "-o", "out"],
    "tune": ["tune", "--trials", "2"],
    "serve": ["serve", "run"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_without_ray_the_command_says_how_to_install_it(command):
    code = (
        f"import sys; sys.modules['ray'] = None; sys.argv = ['eyebright', *{command!r}, '--ray']\n"
        "from eyebright.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("needs an optional part. Install it with: pip install 'eyebright[ray]'\n")
