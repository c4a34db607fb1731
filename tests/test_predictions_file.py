import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.errors import StorageError
from eyebright.predictions_file import StoredPredictions

WEIGHTS = "a" * 64


def predictions(n=6, classes=3, **changes):
    generator = np.random.default_rng(n)
    values = {
        "labels": np.arange(n, dtype=np.int32) % classes,
        "logits": generator.normal(size=(n, classes)).astype(np.float32),
        "image_sha256": generator.integers(0, 256, (n, 32), np.uint8),
        "weights_sha256": WEIGHTS,
    }
    return StoredPredictions(**values | changes)


@given(st.integers(1, 40), st.integers(2, 5), st.sampled_from(["none", "mirror"]), st.booleans())
@settings(deadline=None)
def test_what_is_written_is_read(tmp_path_factory, n, classes, tta, grouped):
    path = tmp_path_factory.mktemp("predictions") / "file.npz"
    units = np.arange(n) // 2 if grouped else None
    one_view = None if tta == "none" else np.ones((n, classes), np.float32)
    written = predictions(n, classes, tta=tta, units=units, logits_one_view=one_view)
    written.write(path)
    read = StoredPredictions.of_classifier(path, classes, WEIGHTS, tta)
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(read, name), value, strict=isinstance(value, np.ndarray))
    assert StoredPredictions.of_classifier(path, classes, "b" * 64, tta) is None
    assert StoredPredictions.of_classifier(path, classes, WEIGHTS, "mirror-shift") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.full(6, 3, np.int32)}, "some that are no class"),
        ({"labels": np.zeros(5, np.int32)}, "do not fit each other"),
        ({"logits": np.zeros((6, 4), np.float32)}, "do not fit each other"),
        ({"image_sha256": np.zeros((6, 31), np.uint8)}, "do not fit each other"),
        ({"units": np.arange(6) * 2}, "groups do not fit"),
        ({"units": np.arange(5)}, "groups do not fit"),
    ],
)
def test_arrays_that_contradict_each_other_are_damage(tmp_path, changes, words):
    path = tmp_path / "file.npz"
    predictions(**changes).write(path)
    with pytest.raises(StorageError, match=rf"file\.npz: damaged: .*{words}"):
        StoredPredictions.read(path, 3)
    assert StoredPredictions.of_classifier(path, 3, WEIGHTS, "none") is None


def test_a_file_that_is_missing_cut_or_something_else_is_said(tmp_path):
    path = tmp_path / "file.npz"
    with pytest.raises(StorageError, match=r"file\.npz: missing$"):
        StoredPredictions.read(path, 3)
    predictions().write(path)
    content = path.read_bytes()
    for damaged in (content[:-9], b"", b"PK", content.replace(b"labels", b"lapels")):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=r"file\.npz: damaged: "):
            StoredPredictions.read(path, 3)
