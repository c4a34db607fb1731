import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.arrays import arrays_to_npz, npz_to_arrays

ARRAYS = st.dictionaries(
    st.from_regex(r"[a-z_]+(/[a-z_]+)*", fullmatch=True).filter(lambda name: name != "file"),
    st.lists(st.floats(width=32), min_size=0, max_size=5).map(lambda values: np.array(values, np.float32)),
    max_size=4,
)


@given(ARRAYS)
@settings(deadline=None)
def test_arrays_survive_npz_to_the_bit_and_give_the_same_bytes(arrays):
    content = arrays_to_npz(arrays)
    read = npz_to_arrays(content)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].tobytes() == array.tobytes()
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
    assert arrays_to_npz(read) == content


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3),
        np.zeros((0, 4)),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", "bcd"]),
        np.ones((2, 1), bool),
    ],
    ids=["a number", "empty", "by columns", "texts", "booleans"],
)
def test_arrays_of_any_shape_and_type_survive(array):
    (read,) = npz_to_arrays(arrays_to_npz({"a": array})).values()
    np.testing.assert_array_equal(read, array)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)


def member(header, values=b"", **how):
    """An .npz file of one member with such a header."""
    text = f"{header!r}\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values)
    return buffer.getvalue()


def described(shape, descr="<f4"):
    return {"descr": descr, "fortran_order": False, "shape": shape}


def test_the_headers_made_here_are_those_of_arrays():
    assert npz_to_arrays(member(described((2,)), bytes(8)))["a"].tolist() == [0, 0]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused(method):
    content = member(described((25_000_000,)), bytes(100_000_000), compression=method)
    assert len(content) < 200_000
    with pytest.raises(ValueError, match="compressed"):
        npz_to_arrays(content)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (described((10**12,)), b""),  # 4 TB
        (described((10**30, 10**30)), b"1234"),
        (described((2,)), bytes(7)),
        (described((2,)), bytes(9)),
        (described((-1,)), b""),
        (described((-1, -2)), bytes(8)),
        (described((10**12,), "<U0"), b""),
        (described((1,), "|O"), b"8 bytes!"),
        ({"descr": "<f4"}, b""),
        ("[" * 9000, b""),
        ([], b""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_members_that_are_not_what_their_headers_say_are_refused(header, values):
    with pytest.raises(ValueError):  # noqa: PT011 - of several messages
        npz_to_arrays(member(header, values))


def test_a_header_nested_without_end_is_refused():
    class Nested:
        def __repr__(self):
            return "(" * 9000

    with pytest.raises(ValueError):  # noqa: PT011
        npz_to_arrays(member(Nested()))


def test_a_member_that_is_no_array_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "no array")
    with pytest.raises(ValueError, match="magic"):
        npz_to_arrays(buffer.getvalue())


def test_members_that_overlap_are_refused():
    """Many names for the same bytes, a bomb of stored members."""
    content = bytearray(arrays_to_npz({"a": np.zeros(5000), "b": np.zeros(5000)}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start, second = archive.start_dir, archive.getinfo("b.npy").header_offset
    place = content.index(second.to_bytes(4, "little"), start)
    content[place : place + 4] = bytes(4)
    with pytest.raises(ValueError):  # noqa: PT011
        npz_to_arrays(bytes(content))
