import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyebright.cli.run_data import load_run_data
from eyebright.data.dataset import Dataset
from eyebright.data.loading import load_dataset
from eyebright.data.split import split_dataset
from eyebright.errors import DownloadError, RunError
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.settings import Settings


@pytest.fixture(autouse=True)
def no_data_directory_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "the user's"))


def pictures(path: Path, value: int = 0) -> Path:
    images = np.random.default_rng(value).integers(0, 256, (20, 4, 4), np.uint8)
    np.savez(path, images=images, labels=np.arange(20) % 2)
    return path


def begun(path: Path, dataset: Dataset, data: str = "digits") -> RunDirectory:
    settings = Settings(data=data, epochs=1)
    return RunDirectory.create(path, settings, DataRecord.of(dataset, split_dataset(dataset, **settings.split)))


def mnist(data_dir: Path) -> Path:
    (data_dir / "mnist").mkdir(parents=True)
    images, labels = np.zeros((70_000, 28, 28), np.uint8), np.arange(70_000) % 10
    images.reshape(70_000, -1)[:, :4] = np.arange(70_000, dtype=np.uint32)[:, None].view(np.uint8)  # no two the same
    parts = {
        "x_train": images[:60_000],
        "x_test": images[60_000:],
        "y_train": labels[:60_000],
        "y_test": labels[60_000:],
    }
    np.savez(data_dir / "mnist" / "mnist.npz", **parts)
    return data_dir


def test_a_run_of_the_python_interface_knows_its_data_whatever_its_settings_say(tmp_path):
    dataset = load_dataset(pictures(tmp_path / "pictures.npz"))
    run = begun(tmp_path / "run", dataset)
    assert load_run_data(run, None, None, progress=False).fingerprint == dataset.fingerprint


def test_a_run_of_another_data_directory_finds_it_again(tmp_path):
    dataset = load_dataset("mnist", data_dir=mnist(tmp_path / "there"))
    run = begun(tmp_path / "run", dataset, "mnist")
    assert load_run_data(run, None, None, progress=False).fingerprint == dataset.fingerprint
    (tmp_path / "there").rename(tmp_path / "moved")
    assert load_run_data(run, None, tmp_path / "moved", progress=False).fingerprint == dataset.fingerprint


def test_data_that_lie_in_the_working_directory_by_chance_are_not_taken_for_the_catalogues(tmp_path, monkeypatch):
    dataset = load_dataset("mnist", data_dir=mnist(tmp_path / "the user's"))
    run = begun(tmp_path / "run", replace(dataset, source=""), "mnist")
    monkeypatch.chdir(tmp_path / "the user's")
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "full"))
    (tmp_path / "full").write_text("no directory: a download fails before it begins")
    with pytest.raises(DownloadError):
        load_run_data(run, None, None, progress=False)


def test_what_the_user_names_wins(tmp_path):
    run = begun(tmp_path / "run", load_dataset(pictures(tmp_path / "pictures.npz")))
    other = pictures(tmp_path / "other.npz", 1)
    assert load_run_data(run, str(other), None, progress=False).fingerprint == load_dataset(other).fingerprint
    assert load_run_data(run, "digits", None, progress=False).name == "digits"


@pytest.mark.parametrize("data", ["digits", "the path"])
def test_data_that_are_gone_are_named(data, tmp_path):
    path = pictures(tmp_path / "pictures.npz")
    run = begun(tmp_path / "run", load_dataset(path), str(path) if data == "the path" else data)
    path.unlink()
    with pytest.raises(RunError, match=f"{run.path}: its data are no longer in {path}"):
        load_run_data(run, None, None, progress=False)


def test_a_run_that_recorded_no_source_goes_by_its_settings(tmp_path):
    path = pictures(tmp_path / "pictures.npz")
    dataset = load_dataset(path)
    run = begun(tmp_path / "run", dataset, str(path))
    record = json.loads((run.path / "data.json").read_text())
    del record["source"]
    (run.path / "data.json").write_text(json.dumps(record))
    older = RunDirectory.open(run.path)
    assert load_run_data(older, None, None, progress=False).fingerprint == dataset.fingerprint
    path.unlink()
    with pytest.raises(RunError, match="no longer in"):
        load_run_data(older, None, None, progress=False)
    digits = load_dataset("digits")
    in_memory = Dataset(digits.images, digits.labels, digits.class_names, "mine")
    assert load_run_data(begun(tmp_path / "mine", in_memory), None, None, progress=False).name == "digits"
