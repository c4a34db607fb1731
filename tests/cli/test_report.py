"""`eyebright report`: what the page says, when it has no pictures, and what it refuses."""

import json
import re
import shutil

import numpy as np
import pytest

from eyebright import cross_validate, load_dataset, preset_settings, train, train_seeds
from eyebright.report.pictures import MOST_BYTES

SOURCES = r'"(data:image/webp;base64,[A-Za-z0-9+/=]+)"'


@pytest.fixture
def page_of(command):
    """Write the report of a run, with options; its text, and what was printed."""

    def page_of(run, *options):
        answer = command("report", run, *options)
        assert answer.code == 0, answer.err
        return (run / "report.html").read_text("utf-8"), answer

    return page_of


def test_the_page_is_one_file_with_the_figures_that_evaluate_gives(run_copy, page_of, command):
    page, answer = page_of(run_copy)
    assert answer.out == f"{run_copy / 'report.html'}\n"
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert not re.search(r"\bon\w+=", re.sub(r"data:[^\"]*", "", page))  # no inline event handlers
    results = json.loads((run_copy / "results.json").read_bytes())
    low, high = results["test_accuracy_ci95"]
    assert f"<strong>{results['test_accuracy']:.4f}</strong>" in page
    assert f"95% interval {low:.4f} to {high:.4f}" in page
    evaluation = json.loads(command("evaluate", run_copy, "--json").out)
    for name in ("ece", "log_loss", "brier_score", "balanced_accuracy"):
        assert f'<td class="number">{evaluation[name]:.4f}</td>' in page
    for row in evaluation["per_class"]:
        assert f"{row['recall']:.3f} <small>({row['recall_ci95'][0]:.3f} to {row['recall_ci95'][1]:.3f})" in page
    assert "<script>" in page
    assert len(page) < 3_000_000


def test_a_report_is_no_look_and_says_how_many_there_were(run_copy, page_of, command):
    page, _ = page_of(run_copy)
    assert "have looked at the test images once, at the end of its training" in page
    for _ in range(6):
        command("evaluate", run_copy, "--json")
    page, _ = page_of(run_copy)
    assert "have looked at the test images 7 times." in page
    assert json.loads((run_copy / "looks.json").read_bytes()) == {"test_looks": 7}


def test_the_looks_of_other_runs_count(finished, tmp_path, digits, command, page_of):
    settings = preset_settings("default", model="softmax", max_steps=3, batch_size=100)
    runs = [train(settings, digits, tmp_path / name).path for name in ("one", "two")]
    page, _ = page_of(runs[0])
    said = re.search(r"In all, (\d+) runs have looked at these test images (\d+) times", page)
    assert said
    assert int(said[1]) >= 2
    assert int(said[2]) >= 2


def test_the_same_run_gives_the_same_bytes(run_copy, page_of, monkeypatch, tmp_path):
    first, _ = page_of(run_copy)
    (run_copy / "report.html").unlink()
    monkeypatch.chdir(run_copy.parent)
    assert page_of(run_copy)[0] == first


def test_without_the_data_there_is_a_report_without_pictures(tmp_path, bands, command, page_of):
    data = bands(60)
    settings = preset_settings("default", model="softmax", data=str(data), max_steps=5, batch_size=10)
    run = train(settings, load_dataset(data), tmp_path / "run").path
    assert re.search(SOURCES, page_of(run)[0])
    moved = data.rename(tmp_path / "moved.npz")
    page, answer = page_of(run)
    assert not re.search(SOURCES, page)
    assert "There are no pictures in this report." in page
    assert str(data) in page
    assert answer.err.startswith("Without pictures: ")
    assert "<button" not in page
    page, answer = page_of(run, "--data", moved)
    assert re.search(SOURCES, page)
    assert answer.err == ""
    found = json.loads(command("report", run, "--data", moved, "--json").out)
    assert found["report"] == str(run / "report.html")
    assert found["without_pictures"] is None
    assert found["pictures"] == len(re.findall(SOURCES, page))
    code, _, err = command("report", run, "--data", "digits")
    assert code == 2
    assert "this is not the data of the run" in err


def test_pictures_keep_to_their_bytes_and_say_how_many_there_are(tmp_path, page_of):
    rng = np.random.default_rng(0)
    labels = (np.arange(600) % 6).astype(np.int64)
    path = tmp_path / "noise.npz"
    np.savez(path, images=rng.integers(0, 256, (600, 80, 80, 3), np.uint8), labels=labels)
    settings = preset_settings("default", model="softmax", data=str(path), max_steps=2, batch_size=50)
    run = train(settings, load_dataset(path), tmp_path / "run").path
    page, _ = page_of(run)
    sources = re.findall(SOURCES, page)
    assert MOST_BYTES / 2 < sum(map(len, sources)) <= MOST_BYTES
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', page)[1])["cells"]
    assert sum(map(len, cells.values())) + 24 == len(sources)
    assert all(cells.values())


def test_of_many_classes_the_most_frequent_mistakes_are_listed(tmp_path, page_of):
    labels = np.arange(600) % 60
    images = np.random.default_rng(0).integers(0, 256, (600, 6, 6, 3), np.uint8)
    path = tmp_path / "many.npz"
    np.savez(path, images=images, labels=labels)
    settings = preset_settings("default", model="softmax", data=str(path), max_steps=2, batch_size=50)
    page, _ = page_of(train(settings, load_dataset(path), tmp_path / "run").path)
    assert 'class="confusion"' not in page
    assert "The most frequent mistakes, of 60 classes" in page
    asked = set(re.findall(r'data-cell="([^"]*)"', page))
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', page)[1])["cells"]
    assert asked == cells.keys()
    assert 0 < len(asked) <= 60


def test_it_compares_and_measures_robustness_if_asked(run_copy, tmp_path, page_of, command):
    other = shutil.copytree(run_copy, tmp_path / "other")
    page, _ = page_of(run_copy, "--compare", other, "--robustness")
    assert "both are right about the same images" in page
    assert "other less <bdi>" not in page.split('id="comparison"')[0]
    assert page.count('<svg class="chart"') == 4 + 8
    assert json.loads((run_copy / "looks.json").read_bytes()) == {"test_looks": 1}
    code, _, err = command("report", run_copy, "--compare", other, "--compare", run_copy / ".." / "other")
    assert (code, err) == (2, f"RunError: --compare {run_copy}/../other: named twice. Name different runs.\n")
    code, _, err = command("report", run_copy, "--compare", tmp_path / "none")
    assert (code, err) == (2, f"RunError: {tmp_path / 'none'}: there is no such directory.\n")


def test_settings_that_are_not_the_presets_are_marked(run_copy, page_of):
    page, _ = page_of(run_copy)
    changed = page.split('tabindex="0"><table>')[1].split("</table>")[0]
    assert '<th scope="row">batch_size</th><td class="long">100</td>' in changed
    assert '<th scope="row">l2</th>' not in changed
    assert '<th scope="row">learning_rate</th>' in page


def test_a_damaged_record_of_training_leaves_out_the_curves_alone(run_copy, page_of):
    (run_copy / "metrics.csv").write_text("step,loss\nx,y\n")
    page, _ = page_of(run_copy)
    assert "There are no curves: " in page
    assert page.count('<svg class="chart"') == 2


def test_several_seeds_and_folds_have_a_page_of_their_figures(tmp_path, digits, command, page_of):
    settings = preset_settings("default", model="softmax", max_steps=3, batch_size=100)
    seeds = train_seeds(settings, digits, tmp_path / "seeds", seeds=2)
    page, _ = page_of(seeds.path)
    assert f"<strong>{seeds.results['test_accuracy_mean']:.4f}</strong>" in page
    assert "<code>eyebright report seeds/seed-1</code>" in page
    assert re.search(r"In all, \d+ runs have looked at these test images", page)
    code, _, err = command("report", seeds.path, "--robustness")
    assert code == 2
    assert f"{seeds.path / 'seed-0'}, {seeds.path / 'seed-1'}" in err
    folds = cross_validate(settings, digits, tmp_path / "folds", folds=2)
    page, _ = page_of(folds.path)
    assert f"<strong>{folds.results['accuracy']:.4f}</strong>" in page
    assert "<code>eyebright report folds/fold-2</code>" in page
    assert 'id="mistakes"' in page_of(folds.path / "fold-2")[0]
    (folds.path / "results.json").unlink()
    assert "not all of its runs are finished" in command("report", folds.path).err


def test_what_cannot_be_reported_is_refused(run_copy, command, tmp_path):
    assert command("report", tmp_path / "none").code == 2
    code, _, err = command("report", run_copy, "-o", run_copy / "results.json")
    assert (code, err.split(": ")[0]) == (2, "SettingsError")
    assert "give a name that ends in .html" in err
    assert "accuracy" in (run_copy / "results.json").read_text()
    code, _, err = command("report", run_copy, "-o", tmp_path / "none" / "x.html")
    assert (code, err.split(": ")[0]) == (2, "StorageError")
    (run_copy / "results.json").unlink()
    code, _, err = command("report", run_copy)
    assert code == 2
    assert "this run is not finished" in err
    assert not (run_copy / "report.html").exists()


def test_damaged_answers_are_refused(run_copy, command):
    path = run_copy / "test_predictions.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    code, _, err = command("report", run_copy)
    assert code == 2
    assert "damaged" in err
    path.unlink()
    assert "missing" in command("report", run_copy).err
