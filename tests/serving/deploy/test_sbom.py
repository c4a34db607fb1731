"""What `make sbom` writes, of an environment that is made of what the tests run in: no network is needed."""

import json
import re
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LICENCES = ROOT / "deploy" / "licences.py"
PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
SYSTEMS_OF_OTHERS = {"colorama"}  # Windows needs it


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment with the metadata of what requirements-serve.lock names, as it is installed here."""
    home = tmp_path_factory.mktemp("server")
    venv.create(home, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    names = {name for name, _ in PIN.findall((ROOT / "requirements-serve.lock").read_text(encoding="utf-8"))}
    for name in names - SYSTEMS_OF_OTHERS:
        for file in distribution(name).files:
            if file.parent.name.endswith(".dist-info") or ".dist-info/licenses" in str(file):
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.locate().read_bytes())
    return home


def sbom(environment, path):
    """As the Makefile makes it, but for where it goes."""
    line = re.search(
        r"\$\(BIN\)/cyclonedx-py (.*)", (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    )[1]
    places = {"build/server": environment, "dist/sbom.cdx.json": path}
    command = [sys.executable, "-m", "cyclonedx_py", *(places.get(word, word) for word in line.split())]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def made(environment, tmp_path_factory):
    path = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    sbom(environment, path)
    return path


def test_it_lists_what_the_lock_installs_and_the_same_each_time(made, environment, tmp_path):
    content = json.loads(made.read_bytes())
    assert content["bomFormat"] == "CycloneDX"
    assert content["metadata"]["component"]["name"] == "eyebright"
    pins = {name for name, _ in PIN.findall((ROOT / "requirements-serve.lock").read_text(encoding="utf-8"))}
    listed = {component["name"].lower().replace("_", "-") for component in content["components"]}
    assert listed == pins - SYSTEMS_OF_OTHERS
    root = next(one for one in content["dependencies"] if one["ref"] == "root-component")
    assert {reference.split("==")[0] for reference in root["dependsOn"]} >= {"onnxruntime", "fastapi", "uvicorn"}
    assert str(environment) not in made.read_text(encoding="utf-8")
    assert sbom(environment, tmp_path / "again.json") == made.read_bytes()


def test_every_package_has_a_licence_in_the_list(made):
    result = subprocess.run([sys.executable, LICENCES, made], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert len(lines) == len(json.loads(made.read_bytes())["components"])
    assert lines[f"onnxruntime {distribution('onnxruntime').version}"] == "MIT"
    assert "none given" not in result.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Zlib"}], "MIT OR Zlib"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "License :: OSI Approved :: MIT License"}}], "MIT"),
        ([{"license": {"name": "License :: OSI Approved :: Apache Software License"}}], "Apache Software License"),
        ([{"license": {"name": "declared", "text": {"content": "3-Clause BSD\nmore"}}}], "3-Clause BSD"),
    ],
    ids=["id", "expression", "id before words", "classifier", "text"],
)
def test_a_licence_is_an_expression_or_the_authors_words(given, said, tmp_path):
    path = tmp_path / "sbom.cdx.json"
    path.write_text(json.dumps({"components": [{"name": "one", "version": "1", "licenses": given}]}), encoding="utf-8")
    assert subprocess.check_output([sys.executable, LICENCES, path], text=True) == f"one 1: {said}\n"


def test_a_package_without_a_licence_is_named(made, tmp_path):
    content = json.loads(made.read_bytes())
    content["components"][0].pop("licenses")
    path = tmp_path / "sbom.cdx.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    result = subprocess.run([sys.executable, LICENCES, path], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"no licence is given for {content['components'][0]['name']} " in result.stderr
