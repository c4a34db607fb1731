import gzip
import hashlib
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from sklearn.datasets import load_digits

from eyebright.data.catalog import CATALOG, CatalogFile
from eyebright.data.loading import data_directory, load_dataset
from eyebright.data.readers import read_arrays
from eyebright.data.split import split_dataset
from eyebright.errors import DataError, DownloadError, MissingExtraError

# Digits

DIGITS_FINGERPRINT = "bd3e79c3946c9d7fb7e22543e4dcbf75a898da47fb081bc6d6381c8decbd9a55"


def test_digits_are_scikit_learns_with_black_and_white_at_0_and_255():
    dataset, original = load_dataset("digits"), load_digits()
    assert (dataset.name, len(dataset), dataset.image_shape) == ("digits", 1_797, (8, 8, 1))
    assert dataset.class_names == tuple("0123456789")
    assert dict(dataset.splits) == {}
    np.testing.assert_array_equal(dataset.labels, original.target)
    assert (dataset.images.min(), dataset.images.max()) == (0, 255)
    assert np.abs(dataset.images[..., 0] - original.images * 255 / 16).max() <= 0.5


def test_digits_are_the_same_where_scikit_learn_keeps_them_elsewhere(monkeypatch):
    monkeypatch.setattr("eyebright.data.loading.Path.is_file", lambda path: False)
    assert load_dataset("digits").fingerprint == DIGITS_FINGERPRINT


def test_digits_lose_nothing():
    np.testing.assert_array_equal(np.round(load_dataset("digits").images[..., 0] * (16 / 255)), load_digits().images)


def test_digits_have_the_same_fingerprint_everywhere():
    assert load_dataset("digits").fingerprint == DIGITS_FINGERPRINT


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"The data set 'digits' needs .* pip install 'eyebright\[train\]'"):
        load_dataset("digits")


# What is in the data directory


def test_cifar10_put_there_by_hand_is_used(cifar10_path, tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-batches-bin").symlink_to(cifar10_path)
    dataset = load_dataset("cifar10", data_dir=tmp_path)
    assert (dataset.name, dataset.images.shape) == ("cifar10", (60_000, 32, 32, 3))
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {"train": 50_000, "test": 10_000}
    assert dataset.fingerprint == read_arrays(cifar10_path).fingerprint


def test_cifar10s_files_may_lie_there_without_their_directory(cifar10_path, tmp_path):
    (tmp_path / "cifar10").symlink_to(cifar10_path)
    assert len(load_dataset("cifar10", data_dir=tmp_path)) == 60_000


def test_a_damaged_data_set_in_the_data_directory_is_named_and_not_downloaded_over(tmp_path):
    (tmp_path / "cifar10" / "cifar-10-batches-bin").mkdir(parents=True)
    (tmp_path / "cifar10" / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(bytes(100))
    with pytest.raises(DataError, match="cifar-10-batches-bin"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_another_data_set_under_the_name_of_one_is_refused(tmp_path):
    (tmp_path / "mnist").mkdir()
    images, labels = np.zeros((4, 28, 28), np.uint8), np.array([0, 1, 0, 1])
    path = tmp_path / "mnist" / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(
        DataError, match=r"mnist\.npz: this is not mnist: it has 8 images .* mnist has 70,000 images of 28"
    ):
        load_dataset("mnist", data_dir=tmp_path)


def test_cifar10_whose_classes_have_another_order_is_refused(cifar10_path, tmp_path):
    directory = tmp_path / "cifar10"
    directory.mkdir()
    for file in cifar10_path.iterdir():
        (directory / file.name).symlink_to(file)
    names = list(reversed(CATALOG["cifar10"].class_names))
    (directory / "batches.meta.txt").unlink()
    (directory / "batches.meta.txt").write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(DataError, match=r"this is not cifar10: its class 0 is 'truck'; cifar10's is 'airplane'"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_mnist_is_read_from_keras_file(tmp_path):
    (tmp_path / "mnist").mkdir()
    labels = np.arange(70_000) % 10
    images = np.zeros((70_000, 28, 28), np.uint8)
    parts = {
        "x_train": images[:60_000],
        "y_train": labels[:60_000],
        "x_test": images[60_000:],
        "y_test": labels[60_000:],
    }
    np.savez(tmp_path / "mnist" / "mnist.npz", **parts)
    dataset = load_dataset("mnist", data_dir=tmp_path)
    assert (dataset.name, dataset.images.shape, dataset.class_names) == (
        "mnist",
        (70_000, 28, 28, 1),
        tuple("0123456789"),
    )
    np.testing.assert_array_equal(dataset.labels[dataset.splits["test"]], labels[60_000:])
    assert dataset.source == f"mnist:{tmp_path}"


# Downloads


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=1)


def test_fashion_mnist_is_downloaded_once_and_has_its_class_names(server, tmp_path, monkeypatch):
    labels = (np.arange(70_000) % 10).astype(np.uint8)
    contents = {
        "train-images-idx3-ubyte.gz": idx(np.full((60_000, 28, 28), 7, np.uint8)),
        "train-labels-idx1-ubyte.gz": idx(labels[:60_000]),
        "t10k-images-idx3-ubyte.gz": idx(np.full((10_000, 28, 28), 8, np.uint8)),
        "t10k-labels-idx1-ubyte.gz": idx(labels[60_000:]),
    }

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(contents[handler.path.removeprefix("/")])

    server.answers |= {f"/{name}": answer for name in contents}
    entry = CATALOG["fashion-mnist"]
    assert [file.name for file in entry.files] == list(contents)
    files = tuple(
        CatalogFile(server.url(f"/{name}"), hashlib.sha256(content).hexdigest(), len(content))
        for name, content in contents.items()
    )
    monkeypatch.setitem(CATALOG, "fashion-mnist", replace(entry, files=files))
    for _ in range(2):
        dataset = load_dataset("fashion-mnist", data_dir=tmp_path)
        assert dataset.class_names[0] == "T-shirt/top"
        assert dataset.source == f"fashion-mnist:{tmp_path}"
        assert len(dataset) == 70_000
        assert set(np.unique(dataset.images[dataset.splits["test"]])) == {8}
    assert len(server.paths) == 4


def test_a_download_that_fails_is_a_data_error(tmp_path):
    (tmp_path / "data").write_text("no directory")
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", data_dir=tmp_path / "data")
    assert isinstance(caught.value, DownloadError)


# Names and paths


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("cifr10", " Did you mean 'cifar10'?"),
        ("CIFAR10", " Did you mean 'cifar10'?"),
        ("fashion_mnist", " Did you mean 'fashion-mnist'?"),
        ("photos/of/my/cats", " Known: digits, cifar10, cifar100, mnist, fashion-mnist."),
    ],
)
def test_a_name_that_is_unknown_and_no_path_gets_a_suggestion(name, end):
    with pytest.raises(DataError) as caught:
        load_dataset(name)
    assert str(caught.value) == f"{name!r} is neither the name of a data set nor a path that exists.{end}"


def test_a_path_is_read(tmp_path):
    images, labels = np.arange(4 * 4 * 4, dtype=np.uint8).reshape(4, 4, 4), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "pictures.npz", images=images, labels=labels)
    for path in (tmp_path / "pictures.npz", str(tmp_path / "pictures.npz")):
        np.testing.assert_array_equal(load_dataset(path).images[..., 0], images)


def test_images_of_the_same_pixels_stay_on_one_side_of_a_split(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    images[30:] = images[:30]  # each image twice
    np.savez(tmp_path / "twice.npz", images=images, labels=np.arange(60) % 30 % 2)
    dataset = load_dataset(tmp_path / "twice.npz")
    assert dataset.groups.tolist() == [*range(30), *range(30)]
    for seed in range(5):
        split = split_dataset(dataset, validation=0.2, test_fraction=0.2, seed=seed)
        sides = [set(side % 30) for side in (split.train, split.validation, split.test)]
        assert sum(map(len, sides)) == 30


def test_images_that_all_differ_are_in_no_group():
    assert load_dataset("digits").groups is None


def test_a_name_wins_over_a_directory_that_bears_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert len(load_dataset("digits")) == 1_797
    for path in ("./digits", Path("digits")):
        with pytest.raises(DataError, match="digits"):
            load_dataset(path)


# Where data came from


def test_the_source_is_an_absolute_path_or_a_name(tmp_path, monkeypatch):
    np.savez(tmp_path / "pictures.npz", images=np.zeros((2, 4, 4), np.uint8), labels=np.array([0, 1]))
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset("pictures.npz")
    assert dataset.source == str(tmp_path / "pictures.npz")
    monkeypatch.chdir("/")
    assert load_dataset(dataset.source).fingerprint == dataset.fingerprint
    assert load_dataset("digits").source == "digits"


# The data directory


def test_the_data_directory_is_the_argument_then_the_environments_then_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "from the environment"))
    assert data_directory(tmp_path / "argument") == tmp_path / "argument"
    assert data_directory(Path("~/pictures")) == Path.home() / "pictures"
    assert data_directory() == tmp_path / "from the environment"
    monkeypatch.setenv("EYEBRIGHT_DATA", "~/pictures")
    assert data_directory() == Path.home() / "pictures"
    for unset in (lambda: monkeypatch.setenv("EYEBRIGHT_DATA", ""), lambda: monkeypatch.delenv("EYEBRIGHT_DATA")):
        unset()
        assert data_directory() == Path(platformdirs.user_data_dir("eyebright"))


def test_the_environments_data_directory_is_used(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "mnist.npz").write_bytes(b"not one")
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=str(tmp_path)):
        load_dataset("mnist")


# Import cost

HEAVY = {"PIL", "filelock", "keras", "jax", "platformdirs", "pooch", "requests", "rich", "sklearn", "tensorflow"}


def test_the_catalogue_loading_and_decoding_import_nothing_large():
    code = "import sys, eyebright.data.catalog, eyebright.data.loading, eyebright.data.decode; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "eyebright.data.decode" in modules
    assert not HEAVY & set(modules)


def test_a_slip_in_a_path_names_what_lies_beside_it(tmp_path):
    (tmp_path / "shapes").mkdir()
    with pytest.raises(DataError, match=rf"Did you mean '{tmp_path}/shapes'\?"):
        load_dataset(str(tmp_path / "shpaes"))
