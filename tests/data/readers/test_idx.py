import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from eyebright.data.readers import read_arrays
from eyebright.data.readers.idx import read_idx
from eyebright.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def digits(formats):
    return formats["idx"].dataset(0, 6, 3)


@pytest.fixture(params=[False, True], ids=["plain", "gz"])
def mnist(request, formats, tmp_path, digits):
    """A directory in MNIST's layout, and how to change one of its files."""
    formats["idx-gz" if request.param else "idx"].write(tmp_path, digits)

    def change(name, function):
        if request.param:
            file = tmp_path / f"{name}.gz"
            file.write_bytes(gzip.compress(function(gzip.decompress(file.read_bytes()))))
        else:
            file = tmp_path / name
            file.write_bytes(function(file.read_bytes()))

    return tmp_path, change


@pytest.mark.parametrize("compressed", [False, True])
def test_names_with_a_dot_are_read_as_well(compressed, formats, tmp_path, digits):
    formats["idx-gz" if compressed else "idx"].write(tmp_path, digits)
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / file.name.replace("-idx", ".idx"))
    assert read_arrays(tmp_path).fingerprint == digits.fingerprint


def test_it_is_called_after_its_directory_and_its_classes_after_the_digits(mnist, tmp_path, monkeypatch):
    directory, _ = mnist
    assert read_idx(directory).name == directory.name
    assert read_idx(directory).class_names == tuple("0123456789")
    monkeypatch.chdir(directory)
    from pathlib import Path

    assert read_idx(Path()).name == directory.name


def test_name_and_class_names_may_be_given(mnist):
    directory, change = mnist
    names = tuple(f"letter {number}" for number in range(26))
    change(LABELS, lambda content: content[:8] + b"\x19" + content[9:])
    dataset = read_idx(directory, name="letters", class_names=names)
    assert (dataset.name, dataset.class_names, dataset.labels[0]) == ("letters", names, 25)


@pytest.mark.parametrize("missing", [IMAGES, LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_missing_file_is_named(missing, mnist):
    directory, _ = mnist
    for file in directory.glob(f"{missing}*"):
        file.unlink()
    with pytest.raises(DataError, match=rf"missing {missing} \(or with \.gz\)"):
        read_arrays(directory)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            IMAGES,
            lambda c: b"\0\0\x08\x01" + c[4:],
            "wrong magic number 00000801; a file of images begins with 00000803",
        ),
        (IMAGES, lambda c: b"\0\0\x0d\x03" + c[4:], "wrong magic number 00000d03"),
        (
            LABELS,
            lambda c: b"\0\0\x08\x03" + c[4:],
            "wrong magic number 00000803; a file of labels begins with 00000801",
        ),
        (IMAGES, lambda c: b"", r"wrong magic number \(empty file\)"),
        (IMAGES, lambda c: c[:9], "cut short within its header"),
        (IMAGES, lambda c: c[:-1], r"its header says \[6, 5, 4\], which is 120 bytes; it has 119"),
        (IMAGES, lambda c: c + b"\0", r"its header says \[6, 5, 4\], which is 120 bytes; it has more"),
        (LABELS, lambda c: c + b"\0", r"its header says \[6\], which is 6 bytes; it has more"),
        (IMAGES, lambda c: c[:4] + struct.pack(">3I", 0, 5, 4), r"empty: its header says \[0, 5, 4\]"),
        (
            IMAGES,
            lambda c: c[:4] + struct.pack(">3I", *[2**32 - 1] * 3) + c[16:],
            "its header says .* bytes; it has 120",
        ),
        (LABELS, lambda c: c[:4] + struct.pack(">I", 5) + c[8:-1], f"5 labels for the 6 images of {IMAGES}"),
        (LABELS, lambda c: c[:-1] + b"\x0a", r"image 5 .* has the label 10; they lie in 0 … 9 \(1 of 6 do not\)"),
    ],
)
def test_a_wrong_file_is_named(name, change, message, mnist):
    directory, change_file = mnist
    change_file(name, change)
    with pytest.raises(DataError, match=f"{name}.*: {message}"):
        read_arrays(directory)


def test_images_of_two_sizes_are_a_data_error(mnist, idx_content):
    directory, change = mnist
    change("t10k-images-idx3-ubyte", lambda content: idx_content(np.zeros((3, 4, 5), np.uint8)))
    with pytest.raises(DataError, match=r"training images are \[5, 4\] pixels and test images \[4, 5\]"):
        read_arrays(directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content[:-8],
        lambda content: content[:-8] + bytes(8),
        lambda content: b"no gzip file" + content,
        lambda content: content + b"rubbish",
        lambda content: content[:12] + b"\xff\xff\xff" + content[15:],
    ],
    ids=["cut-short", "no-trailer", "wrong-checksum", "wrong-magic", "rubbish-after-it", "damaged-stream"],
)
def test_a_damaged_gzip_file_is_named(change, formats, tmp_path, digits):
    formats["idx-gz"].write(tmp_path, digits)
    file = tmp_path / f"{IMAGES}.gz"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=rf"{IMAGES}\.gz: damaged gzip file .* Fetch it again"):
        read_arrays(tmp_path)


@pytest.mark.parametrize("header", [[6, 5, 4], [2**32 - 1] * 3], ids=["of-the-right-size", "that-says-far-too-much"])
def test_a_gzip_bomb_fills_no_memory(header, formats, tmp_path, digits):
    formats["idx-gz"].write(tmp_path, digits)
    unpacked = 64 << 20
    bomb = gzip.compress(struct.pack(">4I", 0x803, *header) + bytes(unpacked), compresslevel=1)
    if header[0] > 6:  # what it holds is read, as the header says that it belongs there; what it does not hold is not
        bomb = gzip.compress(struct.pack(">4I", 0x803, *header) + bytes(1 << 20))
    (tmp_path / f"{IMAGES}.gz").write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="it has"):
            read_arrays(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_the_uncompressed_file_is_taken_where_both_are_there(formats, tmp_path, digits):
    formats["idx-gz"].write(tmp_path, formats["idx"].dataset(9, 6, 3))
    formats["idx"].write(tmp_path, digits)
    assert read_arrays(tmp_path).fingerprint == digits.fingerprint
