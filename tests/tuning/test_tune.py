"""Whole searches through the Python interface, in real processes; `tests/cli/test_tune.py` goes through the command."""

import csv
import json
import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from eyebright import Dataset, SearchSpace, preset_settings, resume_tuning, train, tune
from eyebright.errors import RunError, SettingsError, StorageError
from eyebright.presets import resolve_settings
from eyebright.report.search_page import write_search_report
from eyebright.run_directory import RunDirectory
from eyebright.run_table import read_rows

SPACE = {"learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "hidden_units": {"low": 4, "high": 16}}


@pytest.fixture(scope="module")
def shades():
    """300 grey pictures in three classes that brightness tells apart, more or less."""
    labels = np.arange(300, dtype=np.int32) % 3
    noise = np.random.default_rng(0).integers(0, 150, (300, 6, 6, 1))
    return Dataset((noise + 40 * labels[:, None, None, None]).astype(np.uint8), labels, ("dark", "grey", "bright"), "s")


@pytest.fixture(scope="module")
def settings():
    return preset_settings("fast", model="fc", hidden_units=8, batch_size=20, max_steps=18, epochs=None, validation=60)


@pytest.fixture(scope="module")
def space(settings):
    return SearchSpace.of(SPACE, settings)


@pytest.fixture(scope="module")
def found(shades, settings, space, tmp_path_factory):
    """A search of four trials that tests leave as it is."""
    return tune(settings, shades, tmp_path_factory.mktemp("tuning") / "search", space=space, trials=4)


@pytest.fixture
def copy(found, tmp_path):
    return Path(shutil.copytree(found.path, tmp_path / "search"))


def contents_of(directory):
    """All files by name; whose lock it is changes."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def results_in(directory):
    return {path.parent.name: json.loads(path.read_text()) for path in directory.rglob("results.json")}


def test_the_winner_is_not_below_what_the_search_began_with(found, space):
    results = found.results
    assert results == json.loads((found.path / "results.json").read_text())
    assert results["best"]["validation_accuracy"] >= results["first"]["validation_accuracy"]
    assert results["first"]["values"] == {"learning_rate": 0.003, "hidden_units": 8}
    low, high = results["best"]["validation_accuracy_ci95"]
    assert low <= results["best"]["validation_accuracy"] <= high
    assert results["trials"]["all"] == 4
    assert results["validation_images"] == 60
    assert results["importances"] is None


def test_only_the_run_of_the_best_settings_meets_the_test_images_and_once(found):
    tested = {name: results for name, results in results_in(found.path).items() if "test_accuracy" in results}
    assert list(tested) == [found.run.path.name] == [f"best-trial-{found.results['best']['trial']}"]
    assert tested[found.run.path.name]["test_looks"] == 1
    assert found.results["optimism"] == pytest.approx(
        found.results["best"]["validation_accuracy"] - found.run.results["test_accuracy"]
    )
    assert not (found.path / "trials").exists()


def test_the_best_settings_train_to_the_same_weights_again(found, shades, tmp_path):
    with (found.path / "best.toml").open("rb") as file:
        assert tomllib.load(file)["hidden_units"] == found.results["best"]["values"]["hidden_units"]
    settings = resolve_settings({}, found.path / "best.toml").settings
    again = train(settings, shades, tmp_path / "again")
    assert again.results["weights_sha256"] == found.run.results["weights_sha256"]


def test_every_trial_stands_in_the_table(found):
    with (found.path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    best = rows[found.results["best"]["trial"]]
    assert float(best["validation_accuracy"]) == found.results["best"]["validation_accuracy"]
    assert (rows[0]["hidden_units"], rows[0]["learning_rate"], rows[0]["length"]) == ("8", "0.003", "1.0")
    assert all(4 <= int(row["hidden_units"]) <= 16 for row in rows)


def test_a_finished_search_is_left_as_it_is_and_longer_if_asked(found, copy, shades, space):
    before = (copy / "best.toml").stat().st_mtime_ns
    again = resume_tuning(copy, shades, space=space, objective="accuracy")
    assert (again.results, again.run.results) == (found.results, found.run.results)
    assert (copy / "best.toml").stat().st_mtime_ns == before
    longer = resume_tuning(copy, shades, trials=6, refit=False)
    assert longer.results["trials"]["all"] == 6
    assert longer.results["best"]["trial"] == found.results["best"]["trial"]
    assert longer.results["run"] == found.run.path.name  # it was tested before
    assert longer.run.results["test_looks"] == 1
    with (copy / "trials.csv").open() as longer_table, (found.path / "trials.csv").open() as table:
        assert longer_table.read().startswith(table.read())


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no database", "a directory", "without trials"])
def test_a_search_whose_trials_are_gone_or_damaged_is_refused_and_left_as_it_is(damage, copy, shades):
    database = copy / "study.db"
    content = database.read_bytes()
    if damage == "without trials":
        with closing(sqlite3.connect(database)) as file, file:
            file.execute("DELETE FROM trials")
    else:
        database.unlink()
    if damage == "a directory":
        database.mkdir()
    elif damage in {"empty", "cut", "no database"}:
        database.write_bytes({"empty": b"", "cut": content[:4096], "no database": b"words " * 1000}[damage])
    before = contents_of(copy)
    with pytest.raises(StorageError, match=r"study\.db: missing or damaged"):
        resume_tuning(copy, shades, trials=6)
    with pytest.raises(StorageError, match=r"study\.db: missing or damaged"):
        write_search_report(RunDirectory.open_any(copy), copy / "report.html")
    assert contents_of(copy) == before


def test_findings_that_are_damaged_are_named_and_a_run_that_was_lost_is_trained_again(found, copy, shades):
    tested = copy / found.run.path.name / "results.json"
    figures = json.loads(tested.read_text())
    tested.unlink()
    again = resume_tuning(copy, shades)
    assert again.run.results["test_accuracy"] == figures["test_accuracy"]
    (copy / "results.json").write_text("{}")
    with pytest.raises(RunError, match=r"results\.json: damaged \(best, first, front, run, trials is missing\)"):
        resume_tuning(copy, shades)


def test_whether_the_best_settings_are_tested_is_kept(shades, settings, space, tmp_path):
    path = tmp_path / "search"
    tune(settings, shades, path, space=space, trials=1, objective="accuracy-parameters", refit=False)
    longer = resume_tuning(path, shades, trials=4)
    assert longer.run is None
    assert {file.name for file in (path / "front").iterdir()} == {
        f"trial-{one['trial']}.toml" for one in longer.results["front"]
    }
    assert resume_tuning(path, shades, refit=True).run.results["test_looks"] == 1
    assert resume_tuning(path, shades).run is not None


def test_another_space_objective_data_or_model_is_refused(found, shades, settings):
    other = SearchSpace.of({**SPACE, "hidden_units": {"low": 4, "high": 17}}, settings)
    with pytest.raises(RunError, match=r"--space: it is not what the search .* was begun with: hidden_units differs"):
        resume_tuning(found.path, shades, space=other)
    with pytest.raises(RunError, match=r"--objective accuracy-time: the search .* is for accuracy"):
        resume_tuning(found.path, shades, objective="accuracy-time")
    with pytest.raises(RunError, match="--model cnn: contradicts"):
        resume_tuning(found.path, shades, flags={"model": "cnn"})
    inverse = Dataset(255 - shades.images, shades.labels, shades.class_names, "inverse")
    with pytest.raises(RunError, match="this is not the data of the run"):
        resume_tuning(found.path, inverse)
    with pytest.raises(RunError, match="this is a run, not a search"):
        resume_tuning(found.run.path, shades)


def test_a_search_without_an_end_and_jobs_without_processors_are_refused(shades, settings, space, tmp_path):
    for wrong, message in (
        ({}, "--trials N, --minutes M, or both"),
        ({"trials": 0}, "--trials 0"),
        ({"minutes": 0.0}, "--minutes 0"),
        ({"trials": 1, "jobs": 1000}, "--jobs 1000: give 1 to"),
    ):
        with pytest.raises(SettingsError, match=message):
            tune(settings, shades, tmp_path / "search", space=space, **wrong)
    large = SearchSpace.of({"batch_size": {"low": 10, "high": 5000}}, settings)
    with pytest.raises(
        SettingsError, match=r"\[batch_size\] goes to 5000, more than the training set has \(180 images\)"
    ):
        tune(settings, shades, tmp_path / "search", space=large, trials=1)
    assert not (tmp_path / "search").exists()


def test_accuracy_against_parameters_gives_a_front_and_trials_that_diverge_are_counted(shades, settings, tmp_path):
    bounds = {"hidden_units": {"choices": [4, 16]}, "learning_rate": {"choices": [0.003, 1e30]}}
    space = SearchSpace.of(bounds, settings)
    found = tune(
        settings, shades, tmp_path / "search", space=space, trials=5, objective="accuracy-parameters", sampler="random",
        refit=False, jobs=2,
    )  # fmt: skip
    assert found.run is None
    assert found.results["run"] is None
    counts = found.results["trials"]
    assert (counts["all"], counts["pruned"], counts["unfinished"]) == (5, 0, 0)
    assert counts["failed"] > 0
    front = found.results["front"]
    assert [one["parameters"] for one in front] == sorted((one["parameters"] for one in front), reverse=True)
    assert {path.name for path in (found.path / "front").iterdir()} == {f"trial-{one['trial']}.toml" for one in front}
    assert results_in(tmp_path) == {"search": found.results}


def test_where_the_settings_keep_no_validation_images_trials_do_and_the_best_run_does_not(shades, tmp_path):
    settings = preset_settings("tutorial", model="softmax", batch_size=20, max_steps=9)
    space = SearchSpace.of({"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}, settings)
    found = tune(settings, shades, tmp_path / "search", space=space, trials=1)
    assert found.results["validation_images"] == 24
    assert found.run.results["validation_accuracy"] is None


def test_a_search_stands_among_the_runs(found):
    row = next(row for row in read_rows(found.path.parent) if row.values["run"] == "search").values
    assert (row["state"], row["runs"]) == ("finished", "4 trials")
    assert row["validation_accuracy"] == found.results["best"]["validation_accuracy"]
    assert row["test_accuracy"] == found.run.results["test_accuracy"]
