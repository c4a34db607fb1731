import os
import pickle

import numpy as np
import pytest

from eyebright.data.readers.cifar_python import read_cifar10_python, read_cifar100_python
from eyebright.errors import DataError


@pytest.fixture
def cifar10(formats, tmp_path):
    return formats["cifar10-python"].write(tmp_path, formats["cifar10-python"].dataset(0, 10, 2))


def changed(pickled, path, **entries):
    batch = pickle.loads(path.read_bytes(), encoding="bytes")
    batch.update({key.encode(): value for key, value in entries.items()})
    path.write_bytes(pickled({key: value for key, value in batch.items() if value is not None}))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_batches_that_python_3_wrote_again_are_read(protocol, cifar10, formats):
    for file in cifar10.iterdir():
        content = pickle.loads(file.read_bytes(), encoding="bytes")
        file.write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_cifar10_python(cifar10).fingerprint == formats["cifar10-python"].dataset(0, 10, 2).fingerprint


def test_keys_and_names_may_be_text(cifar10, formats):
    for file in cifar10.iterdir():
        content = pickle.loads(file.read_bytes(), encoding="latin1")
        file.write_bytes(pickle.dumps(content, protocol=2))
    assert read_cifar10_python(cifar10).fingerprint == formats["cifar10-python"].dataset(0, 10, 2).fingerprint


def test_pixels_in_fortran_order_are_the_same_pixels(cifar10, formats):
    file = cifar10 / "data_batch_1"
    content = pickle.loads(file.read_bytes(), encoding="bytes")
    content[b"data"] = np.asfortranarray(content[b"data"])
    file.write_bytes(pickle.dumps(content, protocol=2))
    assert read_cifar10_python(cifar10).fingerprint == formats["cifar10-python"].dataset(0, 10, 2).fingerprint


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"labels": [0, 10]}, r"record 1 \(the first is 0\) has the label 10; they lie in 0 … 9"),
        ({"labels": [0, -1]}, "has the label -1"),
        ({"labels": [0]}, "'labels' has 1 labels for 2 images"),
        ({"labels": []}, "'labels' has 0 labels for 2 images"),
        ({"labels": [0, b"1"]}, "no list of whole numbers 'labels'"),
        ({"labels": None}, "no list of whole numbers 'labels'"),
        ({"data": None}, "'data' must be uint8.*NoneType"),
        ({"data": b"pixels"}, "'data' must be uint8.*bytes"),
        ({"data": np.zeros((2, 3071), np.uint8)}, r"'data' must be uint8 \[images, 3,072\]; it is \[2, 3071\]"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "empty: 'data' has no images"),
    ],
)
def test_a_wrong_batch_is_named(entries, message, cifar10, pickled):
    changed(pickled, cifar10 / "data_batch_2", **entries)
    with pytest.raises(DataError, match="data_batch_2: .*" + message):
        read_cifar10_python(cifar10)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"label_names": [b"cat", b"dog"]}, "'label_names' has 2 class names where there must be 10"),
        ({"label_names": None}, "no list of class names 'label_names'"),
        ({"label_names": [1] * 10}, "no list of class names 'label_names'"),
        ({"label_names": [b"cat"] * 10}, "two classes have the name 'cat'"),
    ],
)
def test_wrong_class_names_are_a_data_error(entries, message, cifar10, pickled):
    changed(pickled, cifar10 / "batches.meta", **entries)
    with pytest.raises(DataError, match=message):
        read_cifar10_python(cifar10)


def test_cut_short_or_too_long_is_named(cifar10):
    file = cifar10 / "test_batch"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(DataError, match="test_batch: damaged pickle"):
        read_cifar10_python(cifar10)
    file.write_bytes(content + b"\0")
    with pytest.raises(DataError, match="test_batch: damaged: the pickle ends at byte"):
        read_cifar10_python(cifar10)


def test_a_missing_batch_is_named(cifar10):
    (cifar10 / "data_batch_5").unlink()
    with pytest.raises(DataError, match="missing data_batch_5"):
        read_cifar10_python(cifar10)


def test_a_batch_that_is_no_dictionary_is_named(cifar10, pickled):
    (cifar10 / "data_batch_1").write_bytes(pickled([1, 2]))
    with pytest.raises(DataError, match="data_batch_1: it holds a list, not a dictionary"):
        read_cifar10_python(cifar10)


def test_a_batch_that_would_run_code_runs_nothing(cifar10, tmp_path):
    victim = tmp_path / "victim"

    class Program:
        def __reduce__(self):
            return os.mkdir, (str(victim),)

    (cifar10 / "data_batch_1").write_bytes(pickle.dumps({b"data": Program()}, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_1: refused at byte .*posix\.mkdir"):
        read_cifar10_python(cifar10)
    assert not victim.exists()


@pytest.mark.parametrize(("key", "label"), [("coarse_labels", 20), ("fine_labels", 100)])
def test_both_labels_of_cifar100_are_checked(key, label, formats, tmp_path, pickled):
    directory = formats["cifar100-python"].write(tmp_path, formats["cifar100-python"].dataset(0, 5, 2))
    changed(pickled, directory / "test", **{key: [label, 0]})
    with pytest.raises(DataError, match=f"test: record 0 .* has the {key[:-1].replace('_', ' ')} {label}"):
        read_cifar100_python(directory)
