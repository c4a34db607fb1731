"""The page of a search, whose trials are told what they came to: nothing is trained here."""

import re

import numpy as np
import pytest

from eyebright import Dataset, SearchSpace, preset_settings
from eyebright.data.split import split_dataset
from eyebright.errors import RunError
from eyebright.report.search_page import write_search_report
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.tuning.record import Record
from eyebright.tuning.results import write_findings
from eyebright.tuning.study import Study, first_files

BASE = preset_settings(model="fc", batch_size=10)
BOUNDS = {
    "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "hidden_units": {"low": 16, "high": 32},
    "optimizer": {"choices": ["adamw", "sgd"]},
}


def search_of(path, trials, **asked):
    labels = np.arange(90, dtype=np.int32) % 3
    images = np.random.default_rng(0).integers(0, 256, (90, 4, 4, 1), np.uint8)
    dataset = Dataset(images, labels, ("<i>", "b", "c"), "made & <named>")
    space = SearchSpace.of(BOUNDS, BASE).to_dict()
    record = Record(
        **{"objective": "accuracy", "space": space, "sampler": "tpe", "pruned": True, "refit_validation": 0.1} | asked
    )
    split = split_dataset(dataset, **BASE.split)
    data = DataRecord.of(dataset, split).model_copy(update={"study": True})
    study = Study(RunDirectory.create(path, BASE, data, first_files(record, BASE)), record)
    waiting = study.unfinished()
    while waiting or len(study.rows()) < trials:
        unit = waiting.pop() if waiting else study.ask()
        values = study.values(unit.trial)
        parameters = values.get("hidden_units", 2048) * 10
        accuracy = 0.9 - abs(np.log10(values["learning_rate"]) + 2) / 4 + parameters / 1e6
        waiting += study.note(
            unit, {"validation_accuracy": accuracy, "train_seconds": 1.0, "parameters": parameters}, 2.0
        )
    study.run.write_results({**write_findings(study), "run": None, "optimism": None})
    return study


def page_of(study):
    return write_search_report(study.run, study.run.path / "report.html").path.read_text()


def test_a_page_has_every_trial_a_chart_of_each_range_and_needs_nothing_from_elsewhere(tmp_path):
    study = search_of(tmp_path / "<b>search & more", 25)
    page = page_of(study)
    assert page.count('<th scope="row">') >= 25 + len(BOUNDS)
    assert all(f'id="setting-{name}' in page or f"over {name} of" in page for name in ("learning_rate", "hidden_units"))
    assert "over optimizer of" not in page
    assert "How much each setting mattered" in page
    assert "<b>search" not in page
    assert "&lt;b&gt;search &amp; more" in page
    assert "made &amp; &lt;named&gt;" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "<script" not in page
    assert page == page_of(study)


def test_two_objectives_are_drawn_against_each_other(tmp_path):
    study = search_of(tmp_path / "search", 12, objective="accuracy-parameters", pruned=False)
    page = page_of(study)
    assert "Accuracy against cost" in page
    assert page.count("on the front") == len(study.run.results["front"])


def test_few_trials_have_no_charts_and_an_unfinished_search_no_page(tmp_path):
    study = search_of(tmp_path / "search", 1)
    page = page_of(study)
    assert '<svg class="chart"' not in page
    assert "There are too few trials to say which settings mattered." in page
    (study.run.path / "results.json").write_text("{}")
    with pytest.raises(RunError, match=r"results\.json: damaged"):
        page_of(study)
    (study.run.path / "results.json").unlink()
    with pytest.raises(RunError, match=r"this search is not finished. Go on with it: .* tune --resume"):
        write_search_report(study.run, tmp_path / "page.html")
