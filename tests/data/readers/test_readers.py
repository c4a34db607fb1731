import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eyebright.data.readers import read_arrays
from eyebright.errors import DataError

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def stored(file_format, tmp_path_factory):
    """(a small data set, the path to read within a directory, the content of the files by name) in each format."""
    dataset = file_format.dataset(1, 6, 2)
    directory = tmp_path_factory.mktemp("stored")
    path = file_format.write(directory, dataset)
    return dataset, path.relative_to(directory), {file.name: file.read_bytes() for file in directory.iterdir()}


def read_files(files, path):
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            (Path(directory) / name).write_bytes(content)
        return read_arrays(Path(directory) / path)


@few
@given(seed=seeds, train=st.integers(5, 12), test=st.integers(1, 4))
def test_what_is_written_is_read_back(file_format, seed, train, test):
    dataset = file_format.dataset(seed, train, test)
    with tempfile.TemporaryDirectory() as directory:
        read = read_arrays(file_format.write(Path(directory), dataset))
        np.testing.assert_array_equal(read.images, dataset.images)
        np.testing.assert_array_equal(read.labels, dataset.labels)
        assert read.class_names == dataset.class_names
        assert {name: indices.tolist() for name, indices in read.splits.items()} == {
            "train": list(range(train)),
            "test": list(range(train, train + test)),
        }
        assert read.fingerprint == dataset.fingerprint


@few
@given(data=st.data())
def test_a_file_cut_short_is_a_data_error(stored, data):
    _, path, files = stored
    name = data.draw(st.sampled_from(sorted(files)))
    length = data.draw(st.integers(0, len(files[name]) - 1))
    # A whole number of records is a smaller batch; of the official sizes, that is noticed as well (test_cifar_binary).
    record = 3073 if "batch" in name else 3074
    assume(not name.endswith(".bin") or length == 0 or length % record)
    with pytest.raises(DataError):
        read_files({**files, name: files[name][:length]}, path)


@few
@given(data=st.data())
def test_random_bytes_are_a_data_error(stored, data):
    _, path, files = stored
    name = data.draw(st.sampled_from(sorted(files)))
    with pytest.raises(DataError):
        read_files({**files, name: data.draw(st.binary(max_size=200))}, path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_no_other_error_than_a_data_error(stored, data):
    _, path, files = stored
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    # Where the structure of a file is: the pixels in between are many, and hardly any of them would be tried.
    near_an_end = st.integers(0, min(400, len(content) - 1))
    position = data.draw(near_an_end | near_an_end.map(lambda distance: len(content) - 1 - distance))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        dataset = read_files({**files, name: bytes(content)}, path)
    except DataError:
        return
    assert len(dataset) == 8


@pytest.mark.parametrize("name", ["idx-gz", "npz", "npz-compressed", "npz-keras"])
def test_a_flipped_bit_in_a_format_with_checksums_is_noticed(name, formats, tmp_path):
    dataset = formats[name].dataset(2, 5, 2)
    path = formats[name].write(tmp_path, dataset)
    file = path if path.is_file() else path / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    for position in range(0, len(content), 3):  # a third of the bytes, to be quick
        file.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        try:
            read = read_arrays(path)
        except DataError:
            continue
        # A bit that says nothing of them, as of the date. (The directory of a zip archive has no checksum: a bit there
        # can hide an array that need not be there.)
        np.testing.assert_array_equal(read.images, dataset.images, str(position))
        np.testing.assert_array_equal(read.labels, dataset.labels, str(position))


@pytest.mark.parametrize("variant", ["cifar10", "cifar100"])
def test_both_versions_of_cifar_have_one_fingerprint(variant, formats, tmp_path):
    dataset = formats[f"{variant}-binary"].dataset(3, 20, 4)
    read = []
    for version in ("binary", "python"):
        (tmp_path / version).mkdir()
        read.append(read_arrays(formats[f"{variant}-{version}"].write(tmp_path / version, dataset)))
    assert read[0].fingerprint == read[1].fingerprint
    assert read[0].name == read[1].name == variant


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("cifar10-binary", "cifar-10-batches-bin"),
        ("cifar10-python", "cifar-10-batches-py"),
        ("cifar100-binary", "cifar-100-binary"),
        ("cifar100-python", "cifar-100-python"),
    ],
)
def test_the_official_directory_is_found_in_its_parent(name, usual, formats, tmp_path):
    dataset = formats[name].dataset(0, 5, 1)
    (tmp_path / usual).mkdir()
    formats[name].write(tmp_path / usual, dataset)
    (tmp_path / "README").write_text("unpacked by hand")
    assert read_arrays(tmp_path).fingerprint == dataset.fingerprint


def test_two_data_sets_at_one_path_are_not_chosen_between(formats, tmp_path):
    for name, usual in (("cifar10-binary", "cifar-10-batches-bin"), ("cifar100-binary", "cifar-100-binary")):
        (tmp_path / usual).mkdir()
        formats[name].write(tmp_path / usual, formats[name].dataset(0, 5, 1))
    with pytest.raises(DataError, match=r"several data sets: CIFAR-10.*cifar-10-batches-bin; CIFAR-100.*cifar-100-b"):
        read_arrays(tmp_path)


def test_another_directory_a_table_and_an_archive_are_left_to_the_readers_of_pictures(tmp_path):
    (tmp_path / "train").mkdir()  # of a folder of pictures, not the pickle of CIFAR-100
    assert read_arrays(tmp_path) is None
    for name in ("cifar-10-python.tar.gz", "labels.csv", "Train.PARQUET"):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
        assert read_arrays(tmp_path / name) is None


def test_an_unrecognised_file_is_a_data_error(tmp_path):
    file = tmp_path / "images.h5"
    file.write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError) as error:
        read_arrays(file)
    assert f"{file}: this file is not recognised. Recognised are: folders of pictures" in str(error.value)
    for part in ("CIFAR-10, binary", "CIFAR-100, Python", "IDX", ".npz", ".csv", ".zip"):
        assert part in str(error.value)


@pytest.mark.parametrize("path", ["absent", "absent.npz", "absent/deeper", "with\0zero", "long" * 1000])
def test_a_path_where_nothing_is_is_a_data_error(path, tmp_path):
    with pytest.raises(DataError):
        read_arrays(tmp_path / path)


@pytest.mark.parametrize("link", ["data_batch_3.bin", "batches.meta.txt"])
def test_a_file_that_cannot_be_read_is_a_data_error(link, formats, tmp_path):
    # A regular file that even root cannot read from its beginning.
    unreadable = Path("/proc/self/mem")
    if not unreadable.exists():
        pytest.skip("no /proc on this system")
    formats["cifar10-binary"].write(tmp_path, formats["cifar10-binary"].dataset(0, 5, 1))
    (tmp_path / link).unlink()
    (tmp_path / link).symlink_to(unreadable)
    with pytest.raises(DataError, match=rf"{link}: cannot be read: Input/output error"):
        read_arrays(tmp_path)


@pytest.mark.parametrize("suffix", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "arrays.npz"])
def test_unreadable_files_of_the_other_formats_are_data_errors(suffix, tmp_path):
    if not Path("/proc/self/mem").exists():
        pytest.skip("no /proc on this system")
    (tmp_path / suffix).symlink_to("/proc/self/mem")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(DataError, match=rf"{suffix}: cannot be read"):
        read_arrays(tmp_path / suffix if suffix.endswith(".npz") else tmp_path)


def test_a_directory_without_permission_is_a_data_error(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # root may read everything, so be somebody else for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="closed: cannot be read: Permission denied"):
            read_arrays(closed)
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(formats, tmp_path):
    for name, file in (("cifar10-binary", "data_batch_1.bin"), ("idx", "train-images-idx3-ubyte")):
        directory = tmp_path / name
        directory.mkdir()
        formats[name].write(directory, formats[name].dataset(0, 5, 1))
        (directory / file).unlink()
        os.mkfifo(directory / file)
        with pytest.raises(DataError, match=rf"{file}: this is no regular file"):
            read_arrays(directory)
