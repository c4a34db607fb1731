import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import DataError, SettingsError
from eyebright.evaluation.corruptions import CORRUPTIONS, corrupt
from eyebright.evaluation.robustness import draw_robustness, robustness
from eyebright.metrics.intervals import wilson_interval
from eyebright.models import Architecture


@pytest.fixture(scope="module")
def brightness():
    """Says "bright" of a picture whose mean lies above 128, else "dark"."""
    architecture = Architecture(model="softmax", image_shape=(8, 8, 1), classes=2, preprocessing="mean-image")
    weights = {
        "standardize/mean": np.full((8, 8, 1), 128, np.float32),
        "logits/kernel": np.tile(np.array([[0, 1 / 64]], np.float32), (64, 1)),
        "logits/bias": np.zeros(2, np.float32),
    }
    return Classifier(architecture, ("dark", "bright"), weights)


@pytest.fixture(scope="module")
def pictures():
    levels = np.repeat([40, 100, 150, 210], 30)
    noise = np.random.default_rng(0).integers(-20, 21, (120, 8, 8, 1))
    images = (levels[:, None, None, None] + noise).astype(np.uint8)
    return Dataset(images, (levels > 128).astype(np.int32), ("dark", "bright"), "levels")


@pytest.fixture(scope="module")
def result(brightness, pictures):
    return robustness(brightness, pictures)


def test_each_figure_is_the_share_of_changed_images_that_are_right(brightness, pictures, result):
    assert result.n == 120
    assert result.clean == (1, wilson_interval(120, 120))
    assert list(result.corrupted) == list(CORRUPTIONS)
    changed = np.stack([corrupt(image, "brightness", 3) for image in pictures.images])
    right = int((brightness.predict(changed).argmax(axis=1) == pictures.labels).sum())
    assert 0 < right < 120
    assert result.corrupted["brightness"][2] == (right / 120, wilson_interval(right, 120))
    assert all(share.accuracy == 1 for share in result.corrupted["contrast"])  # which leaves the mean as it is
    accuracies = [share.accuracy for row in result.corrupted.values() for share in row]
    assert result.mean.accuracy == pytest.approx(np.mean(accuracies))
    assert result.mean.accuracy_ci95[0] < result.mean.accuracy < result.mean.accuracy_ci95[1]


def test_pictures_of_one_group_count_as_what_they_amount_to(brightness, pictures, result):
    grouped = dataclasses.replace(pictures, groups=np.repeat(np.arange(12, dtype=np.int32), 10))
    found = robustness(brightness, grouped)
    assert found.clean == (1, wilson_interval(12, 12))
    for kind, row in result.corrupted.items():
        for share, of_groups in zip(row, found.corrupted[kind], strict=True):
            assert share.accuracy == of_groups.accuracy
            assert of_groups.accuracy_ci95[0] <= share.accuracy_ci95[0] <= share.accuracy_ci95[1]
            assert share.accuracy_ci95[1] <= of_groups.accuracy_ci95[1]
    assert found.mean.accuracy == result.mean.accuracy
    assert found.mean.accuracy_ci95[0] < result.mean.accuracy_ci95[0]


def test_so_many_images_are_chosen_by_the_seed(brightness, pictures, result):
    some, again, others = (robustness(brightness, pictures, images=50, seed=seed) for seed in (0, 0, 1))
    assert (some.n, some) == (50, again)
    assert some.corrupted != others.corrupted
    assert robustness(brightness, pictures, np.arange(30)).n == 30
    assert robustness(brightness, pictures, images=1).mean.accuracy_ci95 == (0, 1)


def test_no_images_are_refused(brightness, pictures):
    with pytest.raises(DataError, match="levels: there are no images"):
        robustness(brightness, pictures, np.array([], np.int64))
    with pytest.raises(SettingsError, match="--images 0: it must be at least 1"):
        robustness(brightness, pictures, images=0)


def test_dictionary_is_json(result):
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read.keys() == {"n", "seed", "accuracy", "accuracy_ci95", "mean_corrupted", "corrupted"}
    assert [row["strength"] for row in read["corrupted"]["blur"]] == [1, 2, 3, 4, 5]


def test_chart_has_a_panel_for_each_kind(result, tmp_path):
    draw_robustness(result, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1100, 550))
        pixels = np.asarray(picture.convert("RGB"))
    blue = (pixels == (31, 119, 180)).all(axis=-1)
    quarters = [blue[:275, start : start + 275].any() for start in range(0, 1100, 275)]
    assert all(quarters)
