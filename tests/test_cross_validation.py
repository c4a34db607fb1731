"""Cross-validation through its Python interface; `tests/cli/test_folds.py` goes through the command."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from eyebright import Classifier, Dataset, cross_validate, preset_settings, resume_cross_validation, train
from eyebright.data.folds import fold_datasets
from eyebright.errors import RunError, SettingsError, StorageError
from eyebright.metrics.intervals import wilson_interval
from eyebright.training.learnt_images import FILE, LearntImages
from eyebright.training.trainer import resume

FOLDS = 3


@pytest.fixture(scope="session")
def shades():
    """90 grey pictures in three classes that brightness tells apart, with noise, and 15 that are kept for testing."""
    labels = np.arange(105, dtype=np.int32) % 3
    noise = np.random.default_rng(0).integers(0, 150, (105, 8, 8, 1))
    images = (noise + 25 * labels[:, None, None, None]).astype(np.uint8)
    return Dataset(images, labels, ("dark", "grey", "bright"), "shades", {"test": np.arange(90, 105)})


@pytest.fixture(scope="session")
def settings():
    return preset_settings("fast", model="fc", hidden_units=8, batch_size=10, max_steps=12, checkpoint_steps=4)


@pytest.fixture(scope="session")
def finished(shades, settings, tmp_path_factory):
    """A cross-validation that tests leave as it is."""
    return cross_validate(settings, shades, tmp_path_factory.mktemp("folds") / "cv", folds=FOLDS)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished.path, tmp_path / "cv")


def shas(result):
    return [fold["weights_sha256"] for fold in result.results["folds"]]


def test_each_image_but_those_kept_for_testing_is_tested_by_the_classifier_that_did_not_learn_from_it(finished, shades):
    assert finished.images.tolist() == list(range(90))
    assert finished.probabilities.shape == (90, 3)
    assert finished.probabilities.dtype == np.float32
    for number, part in enumerate(fold_datasets(shades, FOLDS, seed=0), start=1):
        images = np.flatnonzero(finished.folds == number)
        assert images.tolist() == part.splits["test"].tolist()
        classifier = Classifier.load(finished.path / f"fold-{number}")
        np.testing.assert_allclose(
            finished.probabilities[images], classifier.predict(shades.images[images]), rtol=1e-5, atol=1e-7
        )


def test_the_figures_are_those_of_all_images_together_and_of_each_fold(finished, shades):
    results, labels = finished.results, shades.labels[:90]
    assert results == json.loads((finished.path / "results.json").read_text())
    correct = finished.probabilities.argmax(axis=1) == labels
    assert results["accuracy"] == correct.mean()
    assert results["accuracy_ci95"] == list(wilson_interval(int(correct.sum()), 90))
    assert results["n"] == 90
    assert results["log_loss"] == pytest.approx(-np.log(finished.probabilities[np.arange(90), labels]).mean(), rel=1e-4)
    accuracies = [correct[finished.folds == number].mean() for number in (1, 2, 3)]
    assert [fold["test_accuracy"] for fold in results["folds"]] == accuracies
    assert results["fold_accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert results["fold_accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))


def test_the_interval_is_of_groups_where_images_come_in_groups(shades, settings, tmp_path):
    images, labels = (np.repeat(array[:30], 3, axis=0) for array in (shades.images, shades.labels))
    grouped = Dataset(images, labels, shades.class_names, "thrice", groups=np.repeat(np.arange(30), 3).astype(np.int32))
    results = cross_validate(settings, grouped, tmp_path / "cv", folds=FOLDS).results
    low, high = results["accuracy_ci95"]
    of_images = wilson_interval(round(90 * results["accuracy"]), 90)
    assert high - low > 1.4 * (of_images[1] - of_images[0])  # √3 times, about


def test_what_it_found_is_kept_in_a_file(finished, shades):
    with np.load(finished.path / "out_of_fold.npz") as kept:
        assert kept["images"].tolist() == finished.images.tolist()
        assert kept["folds"].tolist() == finished.folds.tolist()
        assert kept["labels"].tolist() == shades.labels[:90].tolist()
        assert (kept["probabilities"] == finished.probabilities).all()


def test_the_same_seed_gives_the_same_bits_and_a_fold_is_an_ordinary_run(finished, shades, settings, tmp_path):
    again = cross_validate(settings, shades, tmp_path / "again", folds=FOLDS)
    assert shas(again) == shas(finished)
    part = fold_datasets(shades, FOLDS, seed=0)[1]
    assert train(settings, part, tmp_path / "alone").results["weights_sha256"] == shas(finished)[1]


@pytest.mark.parametrize("step", [0, 8])
def test_a_broken_off_one_goes_on_with_the_fold_that_it_was_at_to_the_same_bits(step, finished, copy, shades):
    """What a process leaves that was killed in the second fold."""
    shutil.rmtree(copy / "fold-3")
    shutil.rmtree(copy / "fold-2" / "model")
    for name in ("results.json", "out_of_fold.npz", "fold-2/results.json", "fold-2/test_predictions.npz"):
        (copy / name).unlink()
    for path in (copy / "fold-2" / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    done = (copy / "fold-1" / "results.json").stat().st_mtime_ns
    result = resume_cross_validation(copy, shades)
    assert shas(result) == shas(finished)
    assert (result.probabilities == finished.probabilities).all()
    assert (copy / "fold-1" / "results.json").stat().st_mtime_ns == done
    assert result.results["accuracy"] == finished.results["accuracy"]


def test_a_finished_one_is_read_again(finished, copy, shades):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("fold-*/*") if path.name != ".lock"}
    result = resume_cross_validation(copy, shades)
    assert result.results == finished.results
    assert (result.probabilities == finished.probabilities).all()
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("fold-*/*") if path.name != ".lock"} == before


def test_other_data_or_other_settings_are_refused(copy, shades):
    other = Dataset(255 - shades.images, shades.labels, shades.class_names, "others", shades.splits)
    with pytest.raises(RunError, match="not the data of the run"):
        resume_cross_validation(copy, other)
    with pytest.raises(RunError, match=r"--seed 1: contradicts .* which has 0"):
        resume_cross_validation(copy, shades, flags={"seed": 1})
    with pytest.raises(RunError, match=r"--max-steps 20: contradicts .* cannot be made longer"):
        resume_cross_validation(copy, shades, flags={"max_steps": 20})
    part = fold_datasets(shades, FOLDS, seed=0)[0]
    with pytest.raises(RunError, match=r"fold-1 is a fold of a cross-validation, whose runs are equally long"):
        resume(copy / "fold-1", part, flags={"max_steps": 20})


def test_damaged_answers_of_a_fold_are_named(copy, shades):
    (copy / "fold-2" / "test_predictions.npz").write_bytes(b"PK")
    with pytest.raises(StorageError, match=r"fold-2/test_predictions.npz: damaged.* Remove .*fold-2 to"):
        resume_cross_validation(copy, shades)
    shutil.rmtree(copy / "fold-2")
    assert resume_cross_validation(copy, shades).results["n"] == 90


def test_the_figures_are_those_of_the_folds_as_they_are_not_as_they_were(finished, copy, shades):
    """A fold is removed and trained anew, as is advised where it is damaged; here to another length than before."""
    text = (copy / "settings.toml").read_text()
    assert "max_steps = 12" in text
    (copy / "settings.toml").write_text(text.replace("max_steps = 12", "max_steps = 4"))
    shutil.rmtree(copy / "fold-2")
    result = resume_cross_validation(copy, shades)
    assert [fold["steps"] for fold in result.results["folds"]] == [12, 4, 12]
    assert result.results["accuracy"] == (result.probabilities.argmax(axis=1) == shades.labels[:90]).mean()
    assert shas(result)[1] != shas(finished)[1]
    assert result.results == json.loads((copy / "results.json").read_text())


def test_a_cross_validation_is_no_run_and_a_run_no_cross_validation(copy, shades):
    with pytest.raises(RunError, match=r"this is a cross-validation of 3 runs. Give one of them, for example .*fold-1"):
        resume(copy, shades)
    with pytest.raises(RunError, match="this is a run, not a cross-validation"):
        resume_cross_validation(copy / "fold-1", shades)


def test_nothing_is_made_where_it_cannot_be_done(shades, settings, tmp_path):
    with pytest.raises(SettingsError, match="larger than the training set"):
        cross_validate(settings.model_copy(update={"batch_size": 60}), shades, tmp_path / "cv", folds=FOLDS)
    with pytest.raises(RunError, match="exists already"):
        cross_validate(settings, shades, tmp_path, folds=FOLDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["", "model"])
def test_a_teacher_that_has_seen_the_data_is_refused(part, shades, settings, tmp_path):
    teacher = train(settings, shades, tmp_path / "teacher").path / part
    taught = settings.model_copy(update={"teacher": str(teacher)})
    with pytest.raises(SettingsError, match=r"--teacher .*: it was trained on these data"):
        cross_validate(taught, shades, tmp_path / "cv", folds=FOLDS)
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize("source", ["", "/pictures"])
def test_a_teacher_that_saw_all_folds_but_one_is_refused(source, shades, settings, tmp_path):
    here = replace(shades, source=source)
    teacher = train(settings, fold_datasets(here, FOLDS, seed=0)[0], tmp_path / "teacher").path
    with pytest.raises(SettingsError, match=r"--teacher .*: it was trained on these data"):
        cross_validate(settings.model_copy(update={"teacher": str(teacher)}), here, tmp_path / "cv", folds=FOLDS)


def test_what_another_teacher_has_seen_is_left_to_the_user_to_know(shades, settings, tmp_path):
    train(settings, shades, tmp_path / "teacher").classifier.save(tmp_path / "alone")
    taught, output = settings.model_copy(update={"teacher": str(tmp_path / "alone")}), io.StringIO()
    cross_validate(taught, shades, tmp_path / "cv", folds=2, console=Console(file=output))
    assert f"--teacher {tmp_path / 'alone'}: if it has seen images of these data" in output.getvalue()


def test_a_backbone_that_has_seen_the_data_is_refused(shades, settings, tmp_path):
    backbone = train(settings, shades, tmp_path / "backbone").path
    transferred = preset_settings("fast", model="transfer", weights=str(backbone), batch_size=10)
    with pytest.raises(SettingsError, match=r"--weights .*: it was trained on these data"):
        cross_validate(transferred, shades, tmp_path / "cv", folds=FOLDS)
    other = Dataset(255 - shades.images, shades.labels, shades.class_names, "others", shades.splits)
    assert cross_validate(transferred, other, tmp_path / "cv", folds=2).results["n"] == 90


@pytest.mark.parametrize("kind", ["teacher", "weights"])
@pytest.mark.parametrize("then", ["gone", "another"])
def test_folds_that_begin_later_begin_with_the_same_network_whatever_became_of_it(
    then, kind, shades, settings, tmp_path
):
    data = Dataset(255 - shades.images, shades.labels, shades.class_names, "others", shades.splits)
    origin = train(settings, data, tmp_path / "origin").path
    if kind == "teacher":
        beginning = settings.model_copy(update={"teacher": str(origin)})
    else:
        beginning = preset_settings(
            "fast", model="transfer", weights=str(origin), batch_size=10, max_steps=4, epochs=None
        )
    expected = cross_validate(beginning, shades, tmp_path / "cv", folds=2)
    shutil.rmtree(expected.path / "fold-2")
    (expected.path / "results.json").unlink()
    shutil.rmtree(origin)
    if then == "another":
        train(settings.model_copy(update={"seed": 1}), data, origin)
    again = resume_cross_validation(expected.path, shades)
    assert shas(again) == shas(expected)
    one, other = (LearntImages.read(expected.path / f"fold-{number}" / FILE) for number in (1, 2))
    assert np.intersect1d(one.training, other.training).size >= len(data) // 2  # those of the network
