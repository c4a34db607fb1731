"""The systemd unit: what systemd thinks of it, and a server that runs under what it filters and denies."""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

from eyebright.serving.keys import new_key

UNIT = Path(__file__).parents[3] / "deploy" / "eyebright.service"
CONFINED = Path(__file__).with_name("confined.py")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")
LINUX = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) if sys.platform == "linux" else (0, 0)


def confined():
    spec = importlib.util.spec_from_file_location("confined", CONFINED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service():
    return {key: values for (section, key), values in confined().unit(UNIT).items() if section == "Service"}


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path):
    """All but that the program is where it is installed."""
    text = UNIT.read_text(encoding="utf-8")
    installed = tmp_path / UNIT.name
    installed.write_text(text.replace("/opt/eyebright/bin/eyebright", "/bin/true"), encoding="utf-8")
    result = subprocess.run([ANALYZE, "verify", installed], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
def test_systemd_finds_little_exposed(tmp_path):
    result = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=10", UNIT], capture_output=True, text=True, check=False
    )  # 1.0 of 10: what is left is that a server has a network
    assert result.returncode == 0, result.stdout + result.stderr


@needs_systemd
@pytest.mark.skipif(LINUX < (6, 3), reason="MemoryDenyWriteExecute can be asked of Linux 6.3 and later alone")
@pytest.mark.skipif(find_library("seccomp") is None, reason="libseccomp is not here")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_runs_confined(workers, service, start, artefact, tmp_path, pngs):
    """Keys, several pictures, an explanation, metrics, a clean end; as the unit starts it, and with two workers."""
    new_key(tmp_path / "keys", "phone")
    program, *arguments = service["ExecStart"][0].replace("%d", str(tmp_path)).split()
    arguments[arguments.index("/srv/eyebright/model.eyebright")] = f"made={artefact}"
    command = (sys.executable, str(CONFINED), str(UNIT), sys.executable, "-m", Path(program).name)
    server = start(*arguments, "--workers", workers, command=command)
    assert server.predict(*pngs[:4]).status_code == 401
    key = {"X-API-Key": new_key(tmp_path / "keys", "another")}
    server.process.send_signal(1)
    files = [("image", ("a.png", pngs[0]))]
    for ask in (  # each worker reads the keys anew for itself, at its own moment
        lambda: server.predict(*pngs[:4], headers=key),
        lambda: server.post("/explain", files=files, headers=key),
        lambda: server.get("/metrics", headers=key),
    ):
        server.until(lambda ask=ask: ask().status_code == 200)
    assert server.stop() == 0, "".join(server.log)
    assert all(line.startswith("{") for line in server.log), server.log  # no library complains of what it may not do


def test_a_filter_that_is_too_narrow_would_be_noticed(tmp_path):
    """The test above means something: under a filter without sockets nothing can listen."""
    if ANALYZE is None or find_library("seccomp") is None or LINUX < (6, 3):
        pytest.skip("see the test above")
    narrow = tmp_path / "narrow.service"
    text = UNIT.read_text(encoding="utf-8")
    narrow.write_text(text.replace("~@privileged", "~@network-io @privileged"), encoding="utf-8")
    code = "import socket; socket.socket()"
    command = [sys.executable, CONFINED, narrow, sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Operation not permitted" in result.stderr
