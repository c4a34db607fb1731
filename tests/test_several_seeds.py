"""Runs of several seeds through the Python interface; `tests/cli/test_seeds.py` goes through the command."""

import json
import shutil

import numpy as np
import pytest

from eyebright import Dataset, preset_settings, resume_seeds, train, train_seeds
from eyebright.errors import RunError, SettingsError
from eyebright.metrics.intervals import mean_interval, next_value_interval
from eyebright.run_directory import RunDirectory
from eyebright.training.trainer import resume


@pytest.fixture(scope="module")
def shades():
    """120 grey pictures in three classes that brightness hardly tells apart."""
    labels = np.arange(120, dtype=np.int32) % 3
    noise = np.random.default_rng(0).integers(0, 200, (120, 8, 8, 1))
    return Dataset((noise + 20 * labels[:, None, None, None]).astype(np.uint8), labels, ("dark", "grey", "bright"), "s")


@pytest.fixture(scope="module")
def settings():
    return preset_settings(
        "fast", model="fc", hidden_units=8, batch_size=10, max_steps=8, checkpoint_steps=4, epochs=None, seed=5
    )


@pytest.fixture(scope="module")
def finished(shades, settings, tmp_path_factory):
    """Runs of three seeds that tests leave as they are."""
    return train_seeds(settings, shades, tmp_path_factory.mktemp("seeds") / "three", seeds=3)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished.path, tmp_path / "three")


def shas(result):
    return [run["weights_sha256"] for run in result.results["seeds"]]


def test_each_seed_is_an_ordinary_run_tested_on_the_same_images(finished, shades, settings, tmp_path):
    assert sorted(path.name for path in finished.path.glob("seed-*")) == ["seed-5", "seed-6", "seed-7"]
    assert len(set(shas(finished))) == 3
    alone = train(settings.model_copy(update={"seed": 6}), shades, tmp_path / "alone")
    assert alone.results["weights_sha256"] == shas(finished)[1]
    hashes = [np.load(path / "test_predictions.npz")["image_sha256"] for path in finished.path.glob("seed-*")]
    assert all((other == hashes[0]).all() for other in hashes)


def test_the_figures_over_seeds_stand_apart_from_those_over_images(finished):
    results = json.loads((finished.path / "results.json").read_text())
    assert results == finished.results
    runs = [json.loads((finished.path / f"seed-{seed}" / "results.json").read_text()) for seed in (5, 6, 7)]
    accuracies = [run["test_accuracy"] for run in runs]
    assert len(set(accuracies)) > 1
    assert results["test_accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert results["test_accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
    low, high = results["test_accuracy_mean_ci95"]
    assert (low, high) == pytest.approx(np.clip(mean_interval(accuracies), 0, 1))
    assert results["another_seed_pi95"] == pytest.approx(np.clip(next_value_interval(accuracies), 0, 1))
    assert [run["test_accuracy_ci95"] for run in results["seeds"]] == [run["test_accuracy_ci95"] for run in runs]
    assert [run["seed"] for run in results["seeds"]] == [5, 6, 7]


@pytest.mark.parametrize("step", [0, 4])
def test_broken_off_ones_go_on_with_the_seed_that_they_were_at_to_the_same_bits(step, finished, copy, shades):
    """What a process leaves that was killed in the second run."""
    shutil.rmtree(copy / "seed-7")
    shutil.rmtree(copy / "seed-6" / "model")
    for name in ("results.json", "seed-6/results.json", "seed-6/test_predictions.npz"):
        (copy / name).unlink()
    for path in (copy / "seed-6" / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    done = (copy / "seed-5" / "results.json").stat().st_mtime_ns
    result = resume_seeds(copy, shades)
    assert shas(result) == shas(finished)
    assert (copy / "seed-5" / "results.json").stat().st_mtime_ns == done
    assert result.results["test_accuracy_mean"] == finished.results["test_accuracy_mean"]


def test_other_data_or_other_settings_are_refused(copy, shades):
    other = Dataset(255 - shades.images, shades.labels, shades.class_names, "others")
    with pytest.raises(RunError, match="not the data of the run"):
        resume_seeds(copy, other)
    with pytest.raises(RunError, match=r"--seed 6: contradicts .* which has 5"):
        resume_seeds(copy, shades, flags={"seed": 6})
    with pytest.raises(RunError, match=r"--max-steps 20: contradicts .* cannot be made longer"):
        resume_seeds(copy, shades, flags={"max_steps": 20})


def test_a_run_that_was_made_longer_by_itself_is_refused(copy, shades):
    path = copy / "seed-6" / "settings.toml"
    path.write_text(path.read_text().replace("max_steps = 8", "max_steps = 12"))
    with pytest.raises(RunError, match=r"seed-6: this run was made longer than the others. Remove it"):
        resume_seeds(copy, shades)


def test_runs_of_several_seeds_are_no_run_and_a_run_is_not_of_several_seeds(copy, shades):
    with pytest.raises(RunError, match=r"these are 3 runs of several seeds. Give one of them, for example .*seed-5"):
        resume(copy, shades)
    with pytest.raises(RunError, match="these are no runs of several seeds"):
        resume_seeds(copy / "seed-5", shades)
    assert RunDirectory.open_any(copy).data.seeds == 3


def test_nothing_is_made_where_it_cannot_be_done(shades, settings, tmp_path):
    with pytest.raises(SettingsError, match=r"--seeds 1: .* at least 2 seeds"):
        train_seeds(settings, shades, tmp_path / "one", seeds=1)
    with pytest.raises(SettingsError, match="go beyond the largest"):
        train_seeds(settings.model_copy(update={"seed": 2**63 - 2}), shades, tmp_path / "large", seeds=3)
    with pytest.raises(SettingsError, match="larger than the training set"):
        train_seeds(settings.model_copy(update={"batch_size": 100}), shades, tmp_path / "batch", seeds=2)
    with pytest.raises(RunError, match="exists already"):
        train_seeds(settings, shades, tmp_path, seeds=2)
    assert list(tmp_path.iterdir()) == []
