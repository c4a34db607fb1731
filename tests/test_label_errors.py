import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from eyebright import Dataset, load_dataset
from eyebright.data.audit import collect
from eyebright.errors import DataError, MissingExtraError, RunError
from eyebright.label_errors import find_label_errors, label_error_findings, label_error_settings, rank_label_errors
from eyebright.picture_options import PictureOptions

FLIPPED = 30


def flipped(dataset, count, seed=0):
    """The data set with some labels replaced by others, and the images that have them."""
    random, classes = np.random.default_rng(seed), len(dataset.class_names)
    images = random.choice(len(dataset), count, replace=False)
    labels = dataset.labels.copy()
    labels[images] = (labels[images] + random.integers(1, classes, count)) % classes
    return replace(dataset, labels=labels), set(images.tolist())


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def checked(digits, tmp_path_factory):
    """Digits with flipped labels, the images that have them, what was found, and where the runs are."""
    dataset, wrong = flipped(digits, FLIPPED)
    directory = tmp_path_factory.mktemp("labels") / "runs"
    return dataset, wrong, find_label_errors(dataset, run_dir=directory), directory


def test_most_of_the_flipped_labels_are_found_and_stand_first(checked, digits):
    dataset, wrong, errors, _ = checked
    found = [error.image for error in errors]
    assert len(set(found)) == len(found)
    assert len(wrong & set(found[:FLIPPED])) >= 0.6 * FLIPPED
    for error in errors[:10]:
        assert error.given == dataset.labels[error.image] != error.suggested
        assert 0 <= error.doubt <= error.confidence <= 1
    right = [error.suggested == digits.labels[error.image] for error in errors if error.image in wrong]
    assert np.mean(right) > 0.8
    doubts = [error.doubt for error in errors]
    assert doubts == sorted(doubts)


def test_the_runs_are_used_again_and_are_those_of_these_data_alone(checked, digits):
    dataset, _, errors, directory = checked
    output = io.StringIO()
    before = (directory / "fold-1" / "results.json").stat().st_mtime_ns
    assert find_label_errors(dataset, run_dir=directory, console=Console(file=output)) == errors
    assert (directory / "fold-1" / "results.json").stat().st_mtime_ns == before
    assert output.getvalue().startswith("Checking labels: fold 1 of 3: accuracy 0.")
    with pytest.raises(RunError, match="not the data of the run"):
        find_label_errors(digits, run_dir=directory)
    with pytest.raises(RunError, match=r"it has 3 folds, not 4"):
        find_label_errors(dataset, run_dir=directory, folds=4)


def test_another_number_of_folds_is_refused_before_the_rest_is_trained(checked, tmp_path):
    dataset, _, _, directory = checked
    begun = tmp_path / "runs"
    shutil.copytree(directory / "fold-1", begun / "fold-1")
    for name in ("settings.toml", "data.json"):
        shutil.copy(directory / name, begun / name)
    with pytest.raises(RunError, match=r"it has 3 folds, not 4"):
        find_label_errors(dataset, run_dir=begun, folds=4)
    assert not (begun / "fold-2").exists()


def test_that_cleanlab_is_missing_is_known_before_the_training(digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingExtraError, match="The search for label errors"):
        find_label_errors(digits, run_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_finding_has_the_path_both_labels_and_the_confidence(checked):
    dataset, _, errors, _ = checked
    named = replace(dataset, paths=tuple(f"{label}/{place}.png" for place, label in enumerate(dataset.labels)))
    finding = label_error_findings(named, errors)[0]
    first = json.loads(json.dumps(finding.to_dict()))
    path = f"{errors[0].given}/{errors[0].image}.png"
    assert (first["kind"], first["severity"], first["images"]) == ("label-error", "warning", [path])
    assert finding.exclude == (path,)
    assert (first["given_label"], first["suggested_label"]) == (str(errors[0].given), str(errors[0].suggested))
    assert first["confidence"] == pytest.approx(errors[0].confidence, abs=1e-4)
    assert first["message"].startswith(f"{path}: labelled '{errors[0].given}' (probability 0.")


def test_test_images_and_classes_with_too_few_images_are_left_out(digits):
    labels = np.where(np.arange(300) < 2, 9, digits.labels[:300] % 2).astype(np.int32)
    small = Dataset(digits.images[:300], labels, digits.class_names, "small", {"test": np.arange(200, 300)})
    assert all(2 <= error.image < 200 for error in find_label_errors(small))


def test_too_few_images_are_an_error(digits):
    few = Dataset(digits.images[:4], np.array([0, 0, 1, 1], np.int32), ("a", "b"), "few")
    with pytest.raises(DataError, match="few: labels cannot be checked: fewer than two classes have 3 images or more"):
        find_label_errors(few)


@pytest.mark.parametrize(
    ("shape", "model"), [((32, 32, 3), "cnn"), ((15, 40, 3), "fc"), ((64, 64, 1), "fc"), ((16, 16, 3), "cnn")]
)
def test_colour_images_of_16_pixels_and_more_are_for_the_convolutional_network(shape, model):
    dataset = Dataset(np.zeros((40, *shape), np.uint8), np.arange(40, dtype=np.int32) % 2, ("a", "b"), "blank")
    settings = label_error_settings(dataset, 26)
    assert (settings.model, settings.preset, settings.validation) == (model, "fast", 0)
    assert settings.epochs * (26 // settings.batch_size) >= 300
    assert label_error_settings(dataset, 50_000).epochs == (6 if model == "cnn" else 2)


def test_the_least_likely_label_comes_first():
    random = np.random.default_rng(0)
    labels = np.arange(300, dtype=np.int32) % 3
    probabilities = np.full((300, 5), 0.05)  # two classes have no images
    probabilities[np.arange(300), labels] = random.uniform(0.7, 0.9, 300)
    probabilities[7] = [0.9, 0.01, 0.09, 0, 0]  # labelled 1
    probabilities[11] = [0.05, 0.9, 0.05, 0, 0]  # labelled 2
    assert rank_label_errors(labels, probabilities)[:2].tolist() == [7, 11]


@pytest.fixture(scope="module")
def with_copies(digits):
    """Sixty digits and a copy of each, the copies wrongly labelled."""
    images = np.concatenate([digits.images[:60], digits.images[:60]])
    labels = np.concatenate([digits.labels[:60], digits.labels[:60] + 1]) % 3
    return Dataset(images, labels.astype(np.int32), ("a", "b", "c"), "copies")


def test_no_image_is_judged_by_what_learned_from_a_copy_of_it(with_copies, tmp_path):
    find_label_errors(with_copies, run_dir=tmp_path / "runs")
    folds = np.load(tmp_path / "runs" / "out_of_fold.npz")["folds"]
    np.testing.assert_array_equal(folds[:60], folds[60:])


def test_a_class_of_copies_of_too_few_images_is_left_out(digits):
    images = np.concatenate([digits.images[:40], digits.images[:1].repeat(9, axis=0)])
    labels = np.concatenate([np.arange(40) % 2, np.full(9, 2)]).astype(np.int32)
    assert all(error.image < 40 for error in find_label_errors(Dataset(images, labels, ("a", "b", "c"), "copies")))


def test_the_record_says_what_was_read_and_how(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (12, 8, 9, 3), np.uint8)
    for number, pixels in enumerate(noise):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "not.txt").write_text("a/0.png\n")
    monkeypatch.chdir(tmp_path)
    options = PictureOptions(image_size=(7, 6), fit="pad", exclude="not.txt")
    with collect("pictures", options) as collection:
        settings = label_error_settings(collection.dataset, 8, options)
    recorded = (settings.data, settings.image_size, settings.fit, settings.exclude)
    assert recorded == (str(tmp_path / "pictures"), (7, 6), "pad", str(tmp_path / "not.txt"))
    again = load_dataset(Path(settings.data), options=settings.picture_options)
    assert sorted(again.paths) == sorted(collection.dataset.paths)
    assert again.source == collection.dataset.source


def test_of_data_of_the_catalogue_the_record_has_the_name(digits):
    dataset = replace(digits, source="mnist:/somewhere")
    assert label_error_settings(dataset, 1000).data == "mnist"
