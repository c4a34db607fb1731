import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from eyebright.data.readers import read_arrays
from eyebright.data.readers.npz import read_npz
from eyebright.errors import DataError

IMAGES = np.arange(4 * 3 * 2 * 3, dtype=np.uint8).reshape(4, 3, 2, 3)
LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "compressed"])
def save(request, tmp_path):
    """Write arrays and return the path."""

    def write(**arrays):
        path = tmp_path / "fruit.npz"
        request.param(path, **{"images": IMAGES, "labels": LABELS, **arrays})
        return path

    return write


@pytest.fixture
def save_keras(tmp_path):
    def write(**arrays):
        path = tmp_path / "keras.npz"
        default = {"x_train": IMAGES[:3], "y_train": LABELS[:3], "x_test": IMAGES[3:], "y_test": LABELS[3:]}
        np.savez(path, **{**default, **arrays})
        return path

    return write


def test_images_and_labels_are_enough(save):
    dataset = read_arrays(save())
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert dataset.labels.tolist() == LABELS.tolist()
    assert (dataset.class_names, dataset.name, dict(dataset.splits)) == (("0", "1"), "fruit", {})


def test_grey_images_get_their_channel(save):
    assert read_npz(save(images=IMAGES[..., 0])).images.shape == (4, 3, 2, 1)


def test_labels_may_be_a_column_as_in_keras_cifar10(save, save_keras):
    assert read_npz(save(labels=LABELS[:, np.newaxis])).labels.tolist() == LABELS.tolist()
    path = save_keras(y_train=LABELS[:3, np.newaxis].astype(np.uint8), y_test=LABELS[3:, np.newaxis])
    assert read_npz(path).labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i8", "uint64", "float16", "float64", "bool"])
def test_labels_of_any_type_of_number_are_the_same_labels(dtype, save):
    assert read_npz(save(labels=LABELS.astype(dtype))).labels.tolist() == LABELS.tolist()


def test_keras_arrays_are_joined_training_first(save_keras):
    dataset = read_arrays(save_keras())
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert {name: indices.tolist() for name, indices in dataset.splits.items()} == {"train": [0, 1, 2], "test": [3]}


def test_class_names_and_splits_are_taken(save):
    dataset = read_npz(save(class_names=np.array(["pear", "Öl"]), validation=np.array([2]), test=np.array([0, 3])))
    assert dataset.class_names == ("pear", "Öl")
    assert {name: indices.tolist() for name, indices in dataset.splits.items()} == {"validation": [2], "test": [0, 3]}


def test_class_names_may_be_bytes_in_utf8(save):
    assert read_npz(save(class_names=np.array([b"pear", "Öl".encode()]))).class_names == ("pear", "Öl")


def test_there_may_be_more_class_names_than_classes_with_images(save):
    assert len(read_npz(save(class_names=np.array(["a", "b", "c"]))).class_names) == 3


@settings(max_examples=50, deadline=None)
@given(
    images=npst.arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 3, st.sampled_from([1, 3]))),
    dtype=st.sampled_from(["int16", "uint16", ">i4", "int64", "float16", "float32", "float64", "longdouble"]),
)
def test_pixels_of_another_type_are_taken_if_none_changes(images, dtype, tmp_path_factory):
    images = images.copy()
    images[0, 0, 0, 0] = 2  # no picture that could be scaled to 0 … 1
    labels = np.arange(len(images)) % 2
    path = tmp_path_factory.mktemp("pixels") / "pixels.npz"
    np.savez(path, images=images.astype(dtype), labels=labels, class_names=np.array(["even", "odd"]))
    read = read_npz(path).images
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, images)


def float_images(value):
    images = IMAGES.astype(np.float32)
    images[2, 1, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": float_images(255.5)}, r"images: pixels must lie in 0 … 255; these lie in 0 … 255\.5 \(float32\)"),
        ({"images": float_images(-1)}, "pixels must lie in 0 … 255; these lie in -1 … 71"),
        ({"images": float_images(np.nan)}, "pixels must lie in 0 … 255; these lie in nan … nan"),
        ({"images": float_images(np.inf)}, "pixels must lie in 0 … 255; these lie in 0 … inf"),
        ({"images": IMAGES.astype(np.int64) - 1}, "pixels must lie in 0 … 255; these lie in -1 … 70"),
        ({"images": IMAGES.astype(np.int64) + 200}, "pixels must lie in 0 … 255; these lie in 200 … 271"),
        ({"images": float_images(7.25)}, r"float32 pixels that are no whole numbers\. Nothing is rounded"),
        (
            {"images": IMAGES / 255},
            r"float64 pixels that all lie in 0 … 0\.278431, .* np\.asarray\(np\.round\(images \* 255\), np\.uint8\)",
        ),
        ({"images": np.zeros(IMAGES.shape)}, r"float64 pixels that all lie in 0 … 0,"),
        ({"images": IMAGES > 5}, r"bool pixels that all lie in 0 … 1,"),
        ({"images": IMAGES.astype("M8[s]")}, r"pixels must be numbers, best uint8; these are of type datetime64"),
        ({"images": IMAGES.astype("U3")}, "pixels must be numbers, best uint8; these are of type <U3"),
        ({"images": IMAGES.astype(complex)}, "pixels must be numbers, best uint8; these are of type complex128"),
        ({"images": IMAGES.reshape(4, -1)}, r"the shape \[4, 18\] is not \[N, height, width\]"),
        (
            {"images": np.moveaxis(IMAGES, 3, 1)},
            r"the shape \[4, 3, 3, 2\] .* Channels come last: np\.moveaxis\(images, ",
        ),
        ({"images": np.zeros((4, 3, 2, 4), np.uint8)}, r"the shape \[4, 3, 2, 4\] is not"),
        ({"images": np.zeros((0, 3, 2), np.uint8), "labels": []}, r"it has no images \(shape \[0, 3, 2, 1\]\)"),
        ({"images": np.uint8(3)}, r"the shape \[\] is not"),
        ({"labels": LABELS[:3]}, "labels: 3 labels for 4 images"),
        ({"labels": []}, "labels: all 0 labels are missing"),
        ({"labels": np.full(4, np.nan)}, "labels: all 4 labels are missing"),
        ({"labels": np.full(4, -1)}, "labels: all 4 labels are missing"),
        (
            {"labels": [0, 1, np.nan, 1]},
            r"image 2 .* has the label nan; labels are whole numbers in 0 … 65,535 \(1 of 4",
        ),
        ({"labels": [0, 1, np.inf, 1]}, "image 2 .* has the label inf"),
        ({"labels": [0, -1, 0, 1]}, "image 1 .* has the label -1"),
        ({"labels": [0, 1, 0.5, 1]}, "image 2 .* has the label 0.5"),
        ({"labels": [0, 1, 2**40, 1]}, "image 2 .* has the label 1099511627776"),
        ({"labels": np.eye(2)[LABELS]}, r"the shape \[4, 2\] is not \[N\]\. .* np\.argmax\(labels, axis=1\)"),
        (
            {"labels": np.array(["cat", "dog", "dog", "cat"])},
            "labels must be whole numbers from 0; these are of type <U3",
        ),
        ({"labels": [0, 0, 0, 0]}, "it has 1 class; a classifier needs at least two"),
        ({"class_names": np.array(["pear"])}, r"image 1 .* has the label 1; labels are whole numbers in 0 … 0 "),
        ({"class_names": np.array(["pear", "pear"])}, "two classes have the name 'pear'"),
        ({"class_names": np.array(["pear", ""])}, "class name ''"),
        ({"class_names": np.array(["pear", "a\x1b[2J"])}, r"class name 'a\\x1b\[2J'"),
        ({"class_names": np.array(["pear", "\ud800"])}, r"class name '\\ud800'"),
        ({"class_names": np.array([b"pear", b"\xff"])}, "class_names is not in UTF-8"),
        ({"class_names": np.array([1, 2])}, r"class_names must be strings \[classes\]; it is int64 \[2\]"),
        ({"test": np.array([4])}, "split 'test' is empty or names images that are not there"),
        ({"test": np.array([0.0])}, r"test must be indices of images, int64 \[n\]; it is float64 \[1\]"),
        ({"test": np.array([2**64 - 1], np.uint64)}, "split 'test' is empty or names images that are not there"),
        ({"test": np.array([0]), "train": np.array([0, 1])}, "is also in another split"),
    ],
)
def test_wrong_arrays_are_named(arrays, message, save):
    with pytest.raises(DataError, match=r"fruit\.npz: .*" + message):
        read_arrays(save(**arrays))


def test_keras_arrays_of_two_sizes_are_a_data_error(save_keras):
    with pytest.raises(DataError, match=r"x_train has the shape \[3, 2, 3\], one of x_test \[2, 3, 3\]"):
        read_npz(save_keras(x_test=np.swapaxes(IMAGES[3:], 1, 2)))


@pytest.mark.parametrize("missing", ["images", "labels"])
def test_missing_images_or_labels_are_named(missing, tmp_path):
    path = tmp_path / "half.npz"
    np.savez(path, **{name: array for name, array in (("images", IMAGES), ("labels", LABELS)) if name != missing})
    with pytest.raises(
        DataError, match="needs the arrays images and labels, or x_train, y_train, x_test, y_test; it has '"
    ):
        read_npz(path)


def test_an_unknown_array_is_named(save, save_keras):
    with pytest.raises(DataError, match=r"unknown array 'class_name'\. .* may be class_names, train, validation, test"):
        read_npz(save(class_name=np.array(["pear", "plum"])))
    with pytest.raises(
        DataError, match=r"unknown array 'x_val'\. Beside x_train, y_train, x_test, y_test there may be"
    ):
        read_npz(save_keras(x_val=IMAGES))


@pytest.mark.parametrize("name", ["images", "labels", "class_names", "test"])
def test_arrays_of_objects_are_refused_and_run_nothing(name, save, tmp_path):
    class Program:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "victim"),)

    array = np.empty(4, object)
    array[:] = [Program() for _ in range(4)]
    path = save(**{name: array})
    with pytest.raises(DataError, match=rf"{name} is an array of Python objects. Reading it could run a program"):
        read_npz(path)
    assert not (tmp_path / "victim").exists()


def test_a_pickle_in_place_of_an_array_is_refused(tmp_path):
    path = tmp_path / "pickle.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", pickle.dumps(IMAGES))
        archive.writestr("labels.npy", pickle.dumps(LABELS))
    with pytest.raises(DataError, match=r"damaged or no \.npz file \(array images\)"):
        read_npz(path)


def test_a_file_that_is_no_archive_is_a_data_error(tmp_path):
    path = tmp_path / "plain.npz"
    np.save(path.with_suffix(".npy"), IMAGES)
    path.with_suffix(".npy").rename(path)
    with pytest.raises(DataError, match=r"damaged or no \.npz file: File is not a zip file"):
        read_npz(path)


def test_uncompressed_images_are_mapped_not_read(tmp_path):
    path = tmp_path / "large.npz"
    images = np.random.default_rng(0).integers(0, 256, (100, 256, 256, 3), np.uint8)
    np.savez(path, images=images, labels=np.arange(100) % 2)
    tracemalloc.start()
    try:
        dataset = read_arrays(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes / 50
    np.testing.assert_array_equal(dataset.images, images)
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0


def npy(header, data=b""):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 4, 4, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 4, 4, 3)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': 5}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 3)}", b"four"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "2," * 100 + ")}"),
        npy("{'descr': ('|u1', 7), 'fortran_order': 1, 'shape': ()}"),
        npy("{'descr': 'nonsense', 'fortran_order': False, 'shape': ()}"),
        npy("__import__('os').mkdir('victim')"),
        npy("(" * 5000),
        npy("{" + " " * 20_000 + "}"),
        b"\x93NUMPY\x03\x00" + b"\x00" * 20,
        b"\x93NUMPY\x01",
        b"",
    ],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_makes_no_sense_is_a_data_error(content, compression, tmp_path):
    path = tmp_path / "header.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("images.npy", content)
        archive.writestr("labels.npy", content)
    with pytest.raises(DataError, match=r"header\.npz: damaged or no \.npz file \(array images\)"):
        read_npz(path)


def test_an_array_that_unpacks_to_more_than_memory_holds_is_a_data_error(tmp_path, monkeypatch):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS)

    def without_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipFile, "read", without_memory)
    with pytest.raises(DataError, match=r"large\.npz: too large for this machine's memory \(array images\)"):
        read_npz(path)


def test_arrays_that_python_2_wrote_are_read(tmp_path):
    path = tmp_path / "python2.npz"
    with zipfile.ZipFile(path, "w") as archive:
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (4L, 3L, 2L, 3L), }"
        archive.writestr("images.npy", npy(header, IMAGES.tobytes()))
        archive.writestr(
            "labels.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4L,), }", bytes([0, 1, 1, 0]))
        )
    np.testing.assert_array_equal(read_npz(path).images, IMAGES)


def test_fortran_order_is_heeded(save):
    np.testing.assert_array_equal(read_npz(save(images=np.asfortranarray(IMAGES))).images, IMAGES)


def test_an_encrypted_archive_is_a_data_error(save):
    path = save()
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="password required"):
        read_npz(path)
