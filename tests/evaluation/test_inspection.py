import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eyebright.data.dataset import Dataset
from eyebright.errors import DataError
from eyebright.evaluation.inspection import draw_nearest, draw_top_losses, inspect
from eyebright.evaluation.nearest import nearest_images
from eyebright.metrics.intervals import wilson_interval

NAMES = ("class 0", "class 1", "class 2")


@pytest.fixture(scope="module")
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    return Dataset(images, np.tile(np.arange(3, dtype=np.int32), 20), NAMES, "noise")


@pytest.fixture(scope="module")
def softmax(make_classifier):
    return make_classifier("softmax")


def logits_for(dataset, indices):
    """Right by 3, but of image 4 (of class 1) wrong by 5 and of images 1 and 7 (of class 1) wrong by 1."""
    logits = 3.0 * np.eye(3)[dataset.labels[indices]]
    for image, wrong, by in ((4, 2, 5.0), (1, 0, 1.0), (7, 0, 1.0)):
        logits[indices == image] = by * np.eye(3)[wrong]
    return logits


def test_the_worst_images_and_the_confused_classes_are_named(softmax, dataset):
    indices = np.arange(30)
    found = inspect(softmax, dataset, indices, logits_for(dataset, indices), top=4)
    assert (found.n, found.accuracy, found.accuracy_ci95) == (30, 0.9, wilson_interval(27, 30))
    assert [one.index for one in found.top_losses[:3]] == [4, 1, 7]
    assert len(found.top_losses) == 4
    worst = found.top_losses[0]
    assert (worst.image, worst.label, worst.predicted) == ("4", "class 1", "class 2")
    assert worst.probability == pytest.approx(np.exp(5) / (np.exp(5) + 2))
    assert worst.loss == pytest.approx(np.log(np.exp(5) + 2))
    pairs = [(pair.label, pair.predicted, pair.count, pair.n) for pair in found.confused_pairs]
    assert pairs == [("class 1", "class 0", 2, 10), ("class 1", "class 2", 1, 10)]
    assert found.confused_pairs[0].share_ci95 == wilson_interval(2, 10)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["top_losses"][0].keys() == {"image", "label", "predicted", "probability", "loss"}
    assert read["confused_pairs"][0]["share"] == 0.2


def test_images_of_a_group_count_together_as_evaluate_counts_them(softmax, dataset):
    grouped = replace(dataset, groups=np.repeat(np.arange(6, dtype=np.int32), 10))
    indices = np.arange(60)
    found = inspect(softmax, grouped, indices, logits_for(grouped, indices))
    low, high = wilson_interval(57, 60)
    assert found.accuracy_ci95 != (low, high)
    assert found.accuracy_ci95[0] <= low
    assert found.accuracy_ci95[1] >= high


def test_classes_are_matched_by_name(softmax, dataset):
    other = Dataset(dataset.images, 2 - dataset.labels, NAMES[::-1], "turned round")
    indices = np.arange(30)
    logits = logits_for(dataset, indices)
    assert inspect(softmax, other, indices, logits).to_dict() == inspect(softmax, dataset, indices, logits).to_dict()


def test_a_probability_of_nothing_is_a_large_finite_loss(softmax, dataset):
    logits = np.zeros((1, 3))
    logits[0, 2] = 1e6
    assert 500 < inspect(softmax, dataset, np.array([0]), logits).top_losses[0].loss < 1000
    with pytest.raises(DataError, match="noise: there are no images to inspect"):
        inspect(softmax, dataset, np.array([], np.int64), np.zeros((0, 3)))


def test_nearest_are_those_of_the_smallest_angle_between_features(make_classifier, dataset):
    cnn = make_classifier("cnn", channels=(6, 9))
    queries, training = np.array([3, 50]), np.arange(10, 60)
    found = nearest_images(cnn, dataset, queries, training, 4)
    features = cnn.features(dataset.images).astype(float)
    assert features.shape == (60, 9)
    for query, neighbours in zip(queries, found, strict=True):
        lengths = np.linalg.norm(features, axis=1)
        cosines = features @ features[query] / (lengths * lengths[query])
        others = training[training != query]
        order = others[np.argsort(-cosines[others])][:4]
        assert [one.index for one in neighbours] == order.tolist()
        assert [one.similarity for one in neighbours] == pytest.approx(cosines[order], abs=1e-5)
        assert [one.label for one in neighbours] == [NAMES[dataset.labels[index]] for index in order]
    assert [len(row) for row in nearest_images(cnn, dataset, queries, np.array([50, 51]), 4)] == [2, 1]


def test_pictures_show_the_worst_images_and_what_is_near_them(softmax, dataset, tmp_path):
    indices = np.arange(30)
    found = inspect(softmax, dataset, indices, logits_for(dataset, indices), top=3)
    draw_top_losses(found, dataset, tmp_path / "worst.png")
    neighbours = nearest_images(softmax, dataset, np.array([4, 1, 7]), np.arange(30, 60), 2)
    neighbours[2] = neighbours[2][:1]
    draw_nearest(found.top_losses, neighbours, dataset, tmp_path / "nearest.png")
    for name, images in (("worst", [4, 1, 7]), ("nearest", [4, *(one.index for one in neighbours[0])])):
        with Image.open(tmp_path / f"{name}.png") as picture:
            sheet = np.asarray(picture)
        for column, image in enumerate(images):
            left = 4 + 116 * column
            assert (sheet[34 : 34 + 112 : 14, left : left + 112 : 14] == dataset.images[image]).all()
    assert (sheet[-116:-4, 4 + 2 * 116 + 1 :] == 255).all()  # no second neighbour of the third image
