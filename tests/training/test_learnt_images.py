"""What a run may begin with: nothing that has learnt from the images that are to test it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from eyebright.data.dataset import Dataset
from eyebright.data.folds import fold_datasets
from eyebright.data.split import split_dataset
from eyebright.errors import SettingsError, StorageError
from eyebright.training.learnt_images import FILE, LearntImages, image_keys
from eyebright.training.rate_finder import find_learning_rate
from eyebright.training.trainer import train


@pytest.fixture(scope="module")
def whole(dataset):
    """The data set as one that came without splits; test and validation images are drawn."""
    return Dataset(dataset.images, dataset.labels, dataset.class_names, "whole", source="/pictures")


@pytest.fixture(scope="module")
def source(whole, make_settings, tmp_path_factory):
    return train(make_settings(max_steps=2, split_seed=1), whole, tmp_path_factory.mktemp("source") / "run").path


def beginning(name, path, make_settings, **given):
    """Settings that name a network to begin with."""
    kind = {"teacher": str(path)} if name == "teacher" else {"model": "transfer", "weights": str(path)}
    return make_settings(**{"max_steps": 2, **kind, **given})


@pytest.mark.parametrize("name", ["teacher", "weights"])
@pytest.mark.parametrize("part", ["", "model"])
def test_a_network_that_has_learnt_from_the_test_images_is_refused(part, name, source, whole, make_settings, tmp_path):
    settings = beginning(name, source / part, make_settings, split_seed=0)
    with pytest.raises(
        SettingsError, match=rf"--{name} .*: it was trained on these data, on \d+ of the 30 test images"
    ):
        train(settings, whole, tmp_path / "run")
    with pytest.raises(SettingsError, match=rf"--{name} .*: it was trained on these data"):
        find_learning_rate(settings, whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["teacher", "weights"])
def test_one_that_was_trained_on_the_same_split_is_as_good_as_a_longer_training(
    name, source, whole, make_settings, tmp_path
):
    output = io.StringIO()
    settings = beginning(name, source, make_settings, split_seed=1)
    train(settings, whole, tmp_path / "run", console=Console(file=output))
    assert f"--{name}" not in output.getvalue()


def test_the_run_of_a_fold_has_learnt_from_the_other_folds(whole, make_settings, tmp_path):
    fold = train(make_settings(max_steps=2), fold_datasets(whole, 3, seed=0)[0], tmp_path / "fold-1").path
    with pytest.raises(SettingsError, match="it was trained on these data"):
        train(beginning("weights", fold, make_settings), replace(whole, source=""), tmp_path / "run")


def test_what_a_backbone_had_learnt_from_is_passed_on(source, whole, other_dataset, make_settings, tmp_path):
    """Also where the first of them is gone."""
    middle = train(beginning("weights", source, make_settings), other_dataset, tmp_path / "middle").path
    taught = train(beginning("teacher", middle, make_settings), other_dataset, tmp_path / "taught").path
    with pytest.raises(SettingsError, match=rf"--weights {taught}: it was trained on these data"):
        train(beginning("weights", taught, make_settings, split_seed=0), whole, tmp_path / "run")


def test_labels_that_were_mended_and_images_that_were_left_out_hide_nothing(source, whole, make_settings, tmp_path):
    mended = np.roll(whole.labels, 1)
    other = Dataset(whole.images[5:], mended[5:], whole.class_names, "mended")
    with pytest.raises(SettingsError, match="it was trained on these data"):
        train(beginning("weights", source, make_settings, split_seed=0), other, tmp_path / "run")


def said(settings, data, directory):
    output = io.StringIO()
    train(settings, data, directory, console=Console(file=output))
    return output.getvalue()


def test_validation_images_that_it_has_learnt_from_are_said(dataset, make_settings, tmp_path):
    """Where the test images are given, another seed draws other validation images."""
    data = replace(dataset, splits={"test": dataset.splits["test"]})
    first = train(make_settings(max_steps=2, validation=0.0), data, tmp_path / "first").path
    output = said(beginning("teacher", first, make_settings, validation=20), data, tmp_path / "run")
    assert f"--teacher {first}: it was trained on 20 of the 20 validation images" in output


def test_a_few_of_the_test_images_are_said_and_not_refused(dataset, other_dataset, make_settings, tmp_path):
    images = other_dataset.images.copy()
    images[0] = dataset.images[149]
    splits = {"train": np.arange(149), "test": np.array([149])}
    first = Dataset(images, dataset.labels, dataset.class_names, "first", splits)
    repeated = np.concatenate([dataset.images, dataset.images[:100]])
    labels = np.concatenate([dataset.labels, dataset.labels[:100]])
    splits = {"train": np.arange(50), "test": np.arange(50, 250)}
    source = train(make_settings(max_steps=2, validation=0.0), first, tmp_path / "first").path
    settings = beginning("teacher", source, make_settings, validation=0.0)
    output = said(settings, Dataset(repeated, labels, dataset.class_names, "some", splits), tmp_path / "run")
    assert "it was trained on 1 of the 200 test images, too few to matter" in output


def test_what_is_not_known_is_said(source, whole, other_dataset, make_settings, tmp_path):
    """Of a classifier without its run, and of pictures from the same place that were read in another way."""
    (source / "model").rename(tmp_path / "alone")
    try:
        output = said(beginning("teacher", tmp_path / "alone", make_settings), other_dataset, tmp_path / "run")
    finally:
        (tmp_path / "alone").rename(source / "model")
    assert f"--teacher {tmp_path / 'alone'}: if it has seen images of these data" in output
    brighter = Dataset(255 - whole.images, whole.labels, whole.class_names, "whole", source=whole.source)
    output = said(beginning("teacher", source, make_settings), brighter, tmp_path / "brighter")
    assert f"--teacher {source}: if it has seen images of these data" in output
    assert "--teacher" not in said(beginning("teacher", source, make_settings), other_dataset, tmp_path / "other")


def test_a_damaged_record_is_named(source, whole, make_settings, tmp_path):
    kept = (source / FILE).read_bytes()
    (source / FILE).write_bytes(b"PK")
    try:
        with pytest.raises(StorageError, match=f"{source / FILE}: missing or damaged"):
            train(beginning("teacher", source, make_settings, split_seed=1), whole, tmp_path / "run")
    finally:
        (source / FILE).write_bytes(kept)


def test_a_record_comes_back_as_it_was_written(whole, tmp_path):
    split = split_dataset(whole, validation=0.1, test_fraction=0.2, seed=0)
    keys = image_keys(whole)
    assert len(np.unique(keys)) == len(whole)
    learnt = LearntImages.of(whole, keys, split) | LearntImages(complete=False)
    (tmp_path / FILE).write_bytes(learnt.to_bytes())
    again = LearntImages.read(tmp_path / FILE)
    assert again.training.tolist() == sorted(keys[split.train].tolist())
    assert again.validation.tolist() == sorted(keys[split.validation].tolist())
    assert (again.sources, again.complete) == (("/pictures",), False)
