import numpy as np
import pytest

from eyebright.data.readers import read_arrays
from eyebright.data.readers.cifar_binary import read_cifar10_binary, read_cifar100_binary
from eyebright.data.split import split_dataset
from eyebright.errors import DataError


@pytest.fixture
def cifar10(formats, tmp_path):
    """A directory with two images in each batch."""
    dataset = formats["cifar10-binary"].dataset(0, 10, 2)
    return formats["cifar10-binary"].write(tmp_path, dataset)


@pytest.fixture
def cifar100(formats, tmp_path):
    dataset = formats["cifar100-binary"].dataset(0, 10, 2)
    return formats["cifar100-binary"].write(tmp_path, dataset)


@pytest.fixture(scope="module")
def real(cifar10_path):
    return read_arrays(cifar10_path)


def test_cifar10_is_whole(real):
    assert real.images.shape == (60_000, 32, 32, 3)
    assert (real.images.dtype, real.labels.dtype) == (np.uint8, np.int32)
    assert real.splits["train"].tolist() == list(range(50_000))
    assert real.splits["test"].tolist() == list(range(50_000, 60_000))
    assert real.class_counts(real.splits["train"]).tolist() == [5_000] * 10
    assert real.class_counts(real.splits["test"]).tolist() == [1_000] * 10
    assert real.class_names[0] == "airplane"
    assert real.class_names[-1] == "truck"
    assert real.name == "cifar10"


def test_cifar10_has_the_published_mean_and_deviation(real):
    counts = [np.bincount(real.images[:50_000, :, :, channel].ravel(), minlength=256) for channel in range(3)]
    levels = np.arange(256)
    means = np.array([count @ levels / count.sum() for count in counts])
    squares = np.array([count @ levels**2 / count.sum() for count in counts])
    np.testing.assert_allclose(means, [125.3069, 122.9504, 113.8654], atol=5e-5)
    np.testing.assert_allclose(np.sqrt(squares - means**2), [62.9932, 62.0887, 66.7049], atol=5e-5)


def test_the_real_cifar10_is_split_evenly(real):
    split = split_dataset(real, validation=0.1, test_fraction=0.2, seed=0)
    assert real.class_counts(split.train).tolist() == [4_500] * 10
    assert real.class_counts(split.validation).tolist() == [500] * 10
    assert real.class_counts(split.test).tolist() == [1_000] * 10


def test_an_official_batch_cut_between_two_records_is_noticed(cifar10_path, tmp_path):
    for file in cifar10_path.iterdir():
        (tmp_path / file.name).symlink_to(file)
    half = (cifar10_path / "test_batch.bin").read_bytes()[: 5_000 * 3_073]
    (tmp_path / "test_batch.bin").unlink()
    (tmp_path / "test_batch.bin").write_bytes(half)
    with pytest.raises(DataError, match=r"test_batch\.bin: it has 5,000 images where the official file has 10,000"):
        read_arrays(tmp_path)


def test_pixels_and_labels_come_from_their_places_in_the_record(tmp_path, formats):
    formats["cifar10-binary"].write(tmp_path, formats["cifar10-binary"].dataset(0, 5, 1))
    record = bytearray(3073)
    record[0] = 7
    record[1 + 0 * 1024 + 32 * 5 + 6] = 11  # red, row 5, column 6
    record[1 + 1 * 1024 + 32 * 5 + 6] = 22  # green
    record[1 + 2 * 1024 + 32 * 30 + 1] = 33  # blue, row 30, column 1
    (tmp_path / "data_batch_1.bin").write_bytes(record)
    dataset = read_cifar10_binary(tmp_path)
    assert dataset.labels[0] == 7
    assert dataset.images[0, 5, 6].tolist() == [11, 22, 0]
    assert dataset.images[0, 30, 1].tolist() == [0, 0, 33]
    assert int(dataset.images[0].sum()) == 66


def test_cifar100_has_the_fine_labels(cifar100, formats):
    written = formats["cifar100-binary"].dataset(0, 10, 2)
    dataset = read_cifar100_binary(cifar100)
    np.testing.assert_array_equal(dataset.labels, written.labels)
    assert len(dataset.class_names) == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content[:-1],
            r"its 6,145 bytes are no whole number of records of 3,073 bytes \(1 records and",
        ),
        (lambda content: content + b"\0", r"its 6,147 bytes are no whole number .* \(2 records and 1 bytes\)"),
        (lambda content: b"", r"empty \(0 bytes\)"),
        (lambda content: content[:3073] + b"\x0a" + content[3074:], r"record 1 .* has the label 10; .* 0 … 9 \(1 of 2"),
    ],
    ids=["cut-short", "one-byte-too-long", "empty", "label-out-of-range"],
)
def test_a_wrong_batch_is_named(change, message, cifar10):
    file = cifar10 / "data_batch_4.bin"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=r"data_batch_4\.bin: " + message):
        read_cifar10_binary(cifar10)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [(0, 20, "coarse label 20; they lie in 0 … 19"), (3075, 100, "fine label 100; they lie in 0 … 99")],
)
def test_both_labels_of_cifar100_are_checked(position, value, message, cifar100):
    file = cifar100 / "train.bin"
    content = bytearray(file.read_bytes())
    content[position] = value
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cifar100_binary(cifar100)


@pytest.mark.parametrize("missing", ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_missing_file_of_cifar10_is_named(missing, cifar10):
    (cifar10 / missing).unlink()
    with pytest.raises(DataError, match=rf"missing {missing} \(the binary version of CIFAR-10 has data_batch_1"):
        read_arrays(cifar10)


@pytest.mark.parametrize("missing", ["train.bin", "test.bin", "fine_label_names.txt"])
def test_a_missing_file_of_cifar100_is_named(missing, cifar100):
    (cifar100 / missing).unlink()
    with pytest.raises(DataError, match=f"missing {missing}"):
        read_arrays(cifar100)


def test_class_names_may_end_in_blank_lines_and_windows_line_ends(cifar10):
    file = cifar10 / "batches.meta.txt"
    before = read_cifar10_binary(cifar10).class_names
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_cifar10_binary(cifar10).class_names == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"airplane\ntruck\n", "2 class names where there must be 10"),
        (b"a\nb\nc\nd\ne\nf\ng\nh\ni\ntru", "and the last line is not ended"),
        (b"a\nb\nc\nd\ne\nf\ng\nh\ni\ni\n", "two classes have the name 'i'"),
        (b"\xff" * 10, "no class names in UTF-8"),
    ],
)
def test_wrong_class_names_are_a_data_error(content, message, cifar10):
    (cifar10 / "batches.meta.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cifar10_binary(cifar10)


def test_reading_needs_no_more_memory_than_the_files_and_the_images(cifar10_path):
    import tracemalloc

    tracemalloc.start()
    try:
        dataset = read_arrays(cifar10_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.1 * dataset.images.nbytes  # a float32 copy alone would be 4 times the images
