"""What an audit reads: the images that training would see, in the same groups and of the same size."""

import numpy as np
import pytest
from PIL import Image

from eyebright import load_dataset
from eyebright.data.audit import collect
from eyebright.picture_options import PictureOptions

NOISE = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of two classes."""
    for number, pixels in enumerate(NOISE):
        save(tmp_path / "pictures" / "ab"[number % 2] / f"{number:02}.png", pixels)
    return tmp_path / "pictures"


def by_path(dataset):
    return {dataset.path(index): index for index in range(len(dataset))}


def together(dataset):
    """The sets of paths that are in one group."""
    groups = {}
    for index, group in enumerate(dataset.groups.tolist()):
        groups.setdefault(group, set()).add(dataset.path(index))
    return [paths for group, paths in sorted(groups.items()) if group >= 0]


@pytest.mark.parametrize("pattern", [None, r"\d\d"])
def test_copies_and_groups_are_those_that_training_keeps_together(pattern, folder):
    save(folder / "a" / "13.png", NOISE[0])
    save(folder / "b" / "02.png", NOISE[3])  # a second 02, and a copy of 03
    options = PictureOptions(group_regex=pattern)
    with collect(str(folder), options) as collection:
        found = together(collection.dataset)
    assert {"a/00.png", "a/13.png"} in found
    assert {"b/02.png", "b/03.png"} | ({"a/02.png"} if pattern else set()) in found
    assert sorted(map(sorted, found)) == sorted(map(sorted, together(load_dataset(folder, options=options))))


def test_a_picture_of_another_size_changes_the_size_of_all_as_in_training(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (130, 8, 8, 3), np.uint8)
    for number, pixels in enumerate(noise):  # of which the size of every second one is looked at first
        save(tmp_path / "pictures" / "ab"[number % 2] / f"{number:03}.png", pixels)
    save(tmp_path / "pictures" / "a" / "129.png", np.zeros((9, 9, 3), np.uint8))
    trained = load_dataset(tmp_path / "pictures")
    with collect(str(tmp_path / "pictures"), PictureOptions()) as collection:
        assert collection.dataset.image_shape == trained.image_shape == (64, 64, 3)
        places, mine = by_path(trained), by_path(collection.dataset)
        for path in ("a/000.png", "b/129.png", "a/129.png"):
            np.testing.assert_array_equal(collection.dataset.images[mine[path]], trained.images[places[path]])
