"""The Dockerfile: its steps, run in a clean directory, and the server that comes out of them.

They install a server from the lock, by the network and for minutes: EYEBRIGHT_TEST_DEPLOY=1 has them run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from eyebright.serving.keys import new_key

ROOT = Path(__file__).parents[3]
STAGE = re.compile(r"^FROM .*$", re.MULTILINE)
installs = pytest.mark.skipif(
    os.environ.get("EYEBRIGHT_TEST_DEPLOY") != "1", reason="it installs for minutes: set EYEBRIGHT_TEST_DEPLOY=1"
)

# A root that is read-only, for one command: what `docker run --read-only` makes of it.
READ_ONLY = [
    *("unshare", "--mount", "sh", "-ec"),
    'mount -o remount,ro,bind /; ! mountpoint -q /tmp || mount -o remount,ro,bind /tmp; exec "$@"',
    "sh",
]


def can_be_read_only():
    found = all(map(shutil.which, ("unshare", "mount", "mountpoint", "setpriv")))
    return found and subprocess.run([*READ_ONLY, "true"], capture_output=True, check=False).returncode == 0


as_root = pytest.mark.skipif(not can_be_read_only(), reason="the root cannot be made read-only here, for one command")
SERVE = (sys.executable, "-m", "eyebright", "serve")


def instructions(stage):
    """The instructions of a stage (0: build, 1: what serves), each a pair of its name and the rest."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in STAGE.split(text)[stage + 1].splitlines() if line]


def last(instruction):
    """What an instruction of the stage that serves says."""
    return [rest for name, rest in instructions(1) if name == instruction][-1]


def copied():
    """Sources and target of each COPY of the stage `build`."""
    return [(words[:-1], words[-1]) for name, rest in instructions(0) if name == "COPY" for words in [rest.split()]]


def test_the_context_holds_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert taken == {source for sources, _ in copied() for source in sources}


def test_the_image_has_a_python_that_the_package_allows():
    first = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    major, minor = re.search(r"^ARG BASE=python:(\d+)\.(\d+)-slim", first, re.MULTILINE).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Programming Language :: Python :: {major}.{minor}" in project["classifiers"]


def test_no_shell_and_no_root_are_what_it_runs_as():
    user, group = map(int, last("USER").split(":"))
    assert user > 0
    assert group > 0
    assert json.loads(last("ENTRYPOINT"))[:2] == ["eyebright", "serve"]
    assert isinstance(json.loads(last("CMD")), list)
    assert re.search(r"CMD \[", last("HEALTHCHECK"))


@as_root
def test_a_server_needs_nowhere_to_write_but_for_several_workers(start, artefact, tmp_path):
    refused = subprocess.run([*READ_ONLY, "touch", tmp_path / "new"], capture_output=True, text=True, check=False)
    assert "Read-only" in refused.stderr
    assert start(artefact, command=[*READ_ONLY, *SERVE]).stop() == 0
    command = [*READ_ONLY, *SERVE, artefact, "--port", "0", "--workers", "2"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--tmpfs /tmp" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture(scope="module")
def image():
    """What takes the place of /opt/eyebright, after all steps of the stage `build`, where all may read it."""
    with tempfile.TemporaryDirectory(prefix="eyebright-image-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        build(home)
        yield home / "eyebright"


def build(home):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    work = home
    for name, rest in instructions(0):
        if name == "WORKDIR":
            work = home / rest.lstrip("/")
            work.mkdir()
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(ROOT / source, work / target / source if target.endswith("/") else work / target)
        else:
            assert name == "RUN", name
            command = rest.replace("/opt/eyebright", shlex.quote(str(home / "eyebright")))
            shell = ["sh", "-ec", command]
            ran = subprocess.run(shell, cwd=work, env=environment, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr


def copy(source, target):
    """As COPY does, without what .dockerignore leaves out."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.removeprefix("**/") for line in lines if line not in ("", "*") and line[0] not in "#!"]

    def leave_out(directory, names):
        paths = {name: (Path(directory) / name).relative_to(ROOT) for name in names}
        return [name for name, path in paths.items() if any(path.match(line) for line in ignored)]

    if source.is_dir():
        shutil.copytree(source, target, ignore=leave_out)
    else:
        shutil.copy(source, target)


@installs
def test_the_image_holds_the_lock_and_the_package_alone(image):
    site = next(image.glob("lib/python*/site-packages"))
    installed = {path.name.split("-")[0].lower().replace("_", "-") for path in site.glob("*.dist-info")}
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements-serve.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert installed == {"eyebright", *locked} - {"colorama"}  # which Windows needs
    assert not list(site.rglob("onnxruntime-web.*"))


@installs
@as_root
def test_it_serves_as_its_user_from_a_root_that_is_read_only(image, start, artefact, pngs):
    """As `docker run --read-only --cap-drop ALL` has it, with the image's user and health check."""
    served, keys = image.parent / "made.eyebright", image.parent / "keys"
    shutil.copyfile(artefact, served)
    key = new_key(keys, "phone")
    keys.chmod(0o444)
    places = {"/models/model.eyebright": str(served), "/run/secrets/keys": str(keys)}
    arguments = [places.get(word, word) for word in json.loads(last("CMD"))]
    entry = [str(image / "bin" / "eyebright"), *json.loads(last("ENTRYPOINT"))[1:]]
    uid, gid = last("USER").split(":")
    user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    command = [*READ_ONLY, *user, *entry]
    server = start(*arguments, command=command, environment={"PYTHONPATH": "", "HOME": "/nonexistent"})
    assert server.predict(pngs[0], headers={"X-API-Key": key}).json()[0]["label"]
    check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    check[-1] = check[-1].replace(":8000", f":{server.port}")
    python = str(image / "bin" / "python")
    assert subprocess.run([python, *check[1:]], check=False).returncode == 0
    assert server.stop() == 0
    assert subprocess.run([python, *check[1:]], capture_output=True, check=False).returncode != 0
