"""The package as its users get it: a wheel in an environment of its own, far from the clone, without any extra."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eyebright
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "eyebright"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def base_environment(wheel, tmp_path_factory):
    """The commands of an environment that holds the wheel, what its base requires, and nothing else.

    What it requires is copied from the environment that the tests run in, so that no network is needed.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    site = next(home.glob("lib/python*/site-packages"))
    installed = Distribution.at(next(site.glob("eyebright-*.dist-info")))
    for requirement in required_distributions(installed):
        copy_distribution(requirement, site)
    return home / "bin"


def required_distributions(root):
    """Every distribution that one requires without extras, directly or through others."""
    found, waiting = {}, [root]
    while waiting:
        for line in waiting.pop().requires or []:
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                found[name] = distribution(name)
                waiting.append(found[name])
    return found.values()


def copy_distribution(source, site):
    for file in source.files:
        if ".." not in file.parts and file.locate().exists():
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.locate().read_bytes())


def run_outside(base_environment, tmp_path, *command):
    """Run one of the environment's commands in an empty folder, with nothing of this process's environment."""
    environment = {"PATH": f"{base_environment}:{os.defpath}", "HOME": str(tmp_path), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_wheel_holds_every_file_of_the_package(wheel):
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("eyebright/")}
    assert held == {str(path.relative_to(PACKAGE.parent)) for path in files}
    assert {"eyebright/py.typed", "eyebright/recipes/tutorial-fc.toml"} <= held


@pytest.mark.parametrize("command", [("eyebright",), ("python", "-m", "eyebright")])
def test_version_outside_the_clone(base_environment, tmp_path, command):
    result = run_outside(base_environment, tmp_path, *command, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"eyebright {eyebright.__version__}\n"


def test_datasets_needs_no_extra(base_environment, tmp_path):
    result = run_outside(base_environment, tmp_path, "eyebright", "datasets", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    names = {entry["name"] for entry in json.loads(result.stdout)}
    assert names == {"digits", "cifar10", "cifar100", "mnist", "fashion-mnist"}


def test_presets_are_read_outside_the_clone(base_environment, tmp_path):
    result = run_outside(base_environment, tmp_path, "eyebright", "train", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "--learning-rate" in result.stdout


@pytest.mark.parametrize("arguments", [("train",), ("evaluate", "runs/some"), ("tensorboard", "runs")])
def test_a_command_whose_extra_is_missing_says_how_to_install_it(base_environment, tmp_path, arguments):
    data = DataRecord(
        name="digits",
        fingerprint="0" * 64,
        class_names=tuple("0123456789"),
        image_shape=(8, 8, 1),
        training_images=1294,
        validation_images=144,
        test_images=359,
    )
    RunDirectory.create(tmp_path / "runs" / "some", Settings(epochs=1), data)
    result = run_outside(base_environment, tmp_path, "eyebright", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "pip install 'eyebright[train]'" in result.stderr


@pytest.mark.parametrize(("file", "line"), [("CITATION.cff", "version: {}"), ("CHANGELOG.md", "## [{}]")])
def test_files_about_the_release_name_the_version(file, line):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert f"\n{line.format(eyebright.__version__)}" in text


def locked_versions(lock="requirements.lock"):
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    pins = [line.removesuffix(" \\") for line in lines if not line.startswith("    --hash=")]
    return [Requirement(pin) for pin in pins]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-serve.lock", "requirements-build.lock"])
def test_lock_holds_names_versions_and_hashes_only(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    pin = r"[a-z0-9-]+==[\w.]+( ; [^\n:]+)? \\\n(    --hash=sha256:[0-9a-f]{64} \\\n)*    --hash=sha256:[0-9a-f]{64}\n"
    assert re.fullmatch(f"({pin})+", text)


def test_lock_fits_the_requirements_of_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    locked = locked_versions()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        wanted = Requirement(line)
        pins = [pin for pin in locked if pin.name == canonicalize_name(wanted.name)]
        assert pins, f"{wanted} is not in requirements.lock: run make lock"
        for pin in pins:
            version = str(pin.specifier).removeprefix("==")
            assert wanted.specifier.contains(version), f"requirements.lock has {pin}, not {wanted}: run make lock"


def test_smaller_locks_are_parts_of_the_whole():
    """A server runs on the versions that the tests run on."""
    whole = {(pin.name, str(pin.specifier)) for pin in locked_versions()}
    for lock in ("requirements-serve.lock", "requirements-build.lock"):
        assert {(pin.name, str(pin.specifier)) for pin in locked_versions(lock)} <= whole, f"{lock}: run make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    served = {pin.name for pin in locked_versions("requirements-serve.lock")}
    for line in [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["serve"]]:
        assert canonicalize_name(Requirement(line).name) in served, "requirements-serve.lock: run make lock"
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]
