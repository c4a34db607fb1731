"""Data sets on their way to another process."""

import pickle

import numpy as np
import pytest

from eyebright import Dataset, load_dataset
from eyebright.data.passing import Mapped, packed, unpacked


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3), np.uint8)
    splits = {"train": np.arange(8), "test": np.arange(8, 12)}
    groups = np.array([-1, 0, 0, *[-1] * 9], np.int32)
    return Dataset(
        images, np.arange(12, dtype=np.int32) % 3, ("a", "b", "c"), "made", splits, groups=groups, notes=("n",)
    )


def sent(dataset):
    return unpacked(pickle.loads(pickle.dumps(packed(dataset))))


def test_what_arrives_is_the_same_data_set(dataset):
    other = sent(dataset)
    assert other.fingerprint == dataset.fingerprint
    assert (other.name, other.notes, other.groups.tolist()) == ("made", ("n",), dataset.groups.tolist())


@pytest.mark.parametrize("offset", [0, 7])
def test_mapped_images_are_mapped_again_and_not_copied(offset, dataset, tmp_path):
    file = tmp_path / "images"
    file.write_bytes(bytes(offset) + dataset.images.tobytes())
    images = np.memmap(file, np.uint8, "r", offset, dataset.images.shape)
    mapped = Dataset(images, dataset.labels, dataset.class_names, "mapped", dataset.splits, groups=dataset.groups)
    values = packed(mapped)
    assert values["images"] == Mapped(str(file), offset, (12, 4, 5, 3))
    assert sent(mapped).fingerprint == dataset.fingerprint
    assert isinstance(packed(mapped.subset(np.arange(4, 10)))["images"], np.ndarray)


def test_images_in_an_npz_that_is_not_compressed_are_mapped_again(dataset, tmp_path):
    np.savez(tmp_path / "made.npz", images=dataset.images, labels=dataset.labels)
    loaded = load_dataset(tmp_path / "made.npz")
    assert isinstance(packed(loaded)["images"], Mapped)
    assert sent(loaded).fingerprint == loaded.fingerprint
