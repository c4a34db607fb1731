"""What a study holds and decides, without any training: its trials are told what they came to."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from eyebright import SearchSpace, Settings, preset_settings
from eyebright.tuning.importance import importances
from eyebright.tuning.record import PARTS, Record
from eyebright.tuning.results import _front
from eyebright.tuning.study import Study, TrialRow, Unit, best_of, first_files

BASE = preset_settings(model="fc")
SPACE = {
    "learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
    "optimizer": {"choices": ["adamw", "sgd"]},
    "weight_decay": {"low": 0.0, "high": 1.0, "when": {"optimizer": "adamw"}},
}


@dataclass
class Directory:
    path: Path
    settings: Settings = BASE


def begin(path, **asked):
    record = Record(
        **{"objective": "accuracy", "space": SearchSpace.of(SPACE, BASE).to_dict(), "sampler": "tpe", "pruned": True,
           "trials": 12, "refit_validation": 0.1} | asked
    )  # fmt: skip
    path.mkdir()
    for name, content in first_files(record, BASE).items():
        (path / name).write_bytes(content)
    return record


def accuracy_of(values):
    """The nearer to 0.01 the rate, the better: what a trial comes to is a function of its values."""
    return 0.9 - 0.2 * abs(np.log10(values["learning_rate"]) + 2)


def results_of(study, unit):
    return {
        "validation_accuracy": accuracy_of(study.values(unit.trial)),
        "train_seconds": 1.0,
        "parameters": unit.trial,
    }


def work(study, trials, stop_after=None):
    """One job's search. `stop_after` so many parts it is left as a kill leaves it."""
    waiting, done = study.unfinished(), 0
    while waiting or len(study.rows()) < trials:
        if done == stop_after:
            return
        unit = waiting.pop() if waiting else study.ask()
        waiting += study.note(unit, results_of(study, unit), 2.0)
        done += 1


def test_trial_0_has_the_settings_that_the_search_began_with_and_goes_all_the_way(tmp_path):
    record = begin(tmp_path / "search")
    study = Study(Directory(tmp_path / "search"), record)
    assert study.unfinished() == [Unit(0, 1)]
    assert study.values(0) == {"learning_rate": 0.004, "optimizer": "adamw", "weight_decay": 0.2}
    work(study, 12)
    rows = study.rows()
    assert [row.number for row in rows] == list(range(12))
    assert rows[0].state == "finished"
    assert best_of(rows).last["validation_accuracy"] >= rows[0].last["validation_accuracy"]
    assert {row.state for row in rows} == {"finished", "pruned"}
    assert all(list(row.parts) == list(PARTS[: len(row.parts)]) for row in rows)


@pytest.mark.parametrize("stop_after", [0, 1, 5, 13])
def test_a_search_that_was_killed_goes_on_to_the_same_trials(stop_after, tmp_path):
    record = begin(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    whole = Study(Directory(tmp_path / "whole"), record)
    work(whole, 12)
    work(Study(Directory(tmp_path / "killed"), record), 12, stop_after)
    again = Study(Directory(tmp_path / "killed"), record)
    work(again, 12)
    assert again.rows() == whole.rows()


def test_a_trial_whose_values_were_still_being_chosen_was_never_begun(tmp_path):
    record = begin(tmp_path / "search")
    study = Study(Directory(tmp_path / "search"), record)
    study._study.ask()  # and killed before it had any value
    again = Study(Directory(tmp_path / "search"), record)
    assert again.unfinished() == [Unit(0, 1)]
    assert [row.number for row in again.rows()] == [0]
    work(again, 3)
    assert len(again.rows()) == 3


def test_other_seeds_choose_other_values_and_random_ones_do_not_look_at_what_came_out(tmp_path):
    chosen = {}
    for name, seed, sampler in (("a", 0, "random"), ("b", 0, "random"), ("c", 1, "random"), ("d", 0, "tpe")):
        record = begin(tmp_path / name, sampler=sampler, trials=30)
        study = Study(Directory(tmp_path / name, BASE.model_copy(update={"seed": seed})), record)
        work(study, 30)
        chosen[name] = [row.values for row in study.rows()]
    assert chosen["a"] == chosen["b"]
    assert chosen["a"][1] != chosen["c"][1]
    worth = {name: np.mean([accuracy_of(values) for values in of[15:]]) for name, of in chosen.items()}
    assert worth["d"] > worth["a"]


def test_a_trial_that_fails_counts_and_is_never_the_best(tmp_path):
    record = begin(tmp_path / "search")
    study = Study(Directory(tmp_path / "search"), record)
    study.fail(0, "diverged")
    unit = study.ask()
    assert study.died(unit, "SIGKILL") == [unit]
    assert study.died(unit, "SIGKILL") == []
    assert [(row.state, row.failure) for row in study.rows()] == [("failed", "diverged"), ("failed", "SIGKILL")]
    assert best_of(study.rows()) is None
    work(study, 5)
    assert len(study.rows()) == 5


def test_of_two_objectives_all_trials_go_all_the_way_and_failures_are_on_no_front(tmp_path):
    record = begin(tmp_path / "search", objective="accuracy-parameters", pruned=False)
    study = Study(Directory(tmp_path / "search"), record)
    study.fail(0, "diverged")
    work(study, 12)
    rows = study.rows()
    assert {row.state for row in rows[1:]} == {"finished"}
    front = _front(rows, "parameters")
    for one in rows[1:]:
        beaten = any(
            other.last["validation_accuracy"] >= one.last["validation_accuracy"]
            and other.last["parameters"] <= one.last["parameters"]
            and (other.last["validation_accuracy"], other.last["parameters"])
            != (one.last["validation_accuracy"], one.last["parameters"])
            for other in rows[1:]
        )
        assert (one in front) != beaten


def test_the_setting_that_matters_is_found_and_few_trials_tell_nothing(tmp_path):
    record = begin(tmp_path / "search", sampler="random", trials=40)
    study = Study(Directory(tmp_path / "search"), record)
    work(study, 40)
    shares = importances(study.rows(), study.space)
    assert next(iter(shares)) == "learning_rate"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importances(study.rows()[:9], study.space) is None


def test_of_equal_trials_the_first_is_the_best():
    rows = [TrialRow(number, "finished", "", {}, {9: {"validation_accuracy": 0.5}}) for number in range(3)]
    assert best_of(rows).number == 0


@pytest.mark.parametrize("name", ["a ?b", "100%", "{x}#"])
def test_a_path_may_have_any_characters(name, tmp_path):
    record = begin(tmp_path / name)
    assert Study(Directory(tmp_path / name), record).unfinished() == [Unit(0, 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
