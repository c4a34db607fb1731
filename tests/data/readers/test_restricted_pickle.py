import builtins
import copyreg
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.readers.restricted_pickle import restricted_loads
from eyebright.errors import DataError

PATH = Path("batch")


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def victim(tmp_path):
    """A path where a pickle that runs would make something."""
    path = tmp_path / "victim"
    yield path
    assert not path.exists()


plain = st.recursive(
    st.integers(0, 2**31 - 1) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=9), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(value=plain)
def test_python_2_pickles_read_as_the_standard_library_reads_them(pickled, value):
    content = pickled(value)
    assert restricted_loads(content, PATH) == value == pickle.loads(content, encoding="bytes")


@settings(max_examples=100, deadline=None)
@given(value=plain, protocol=st.sampled_from([2, 3, 4]))
def test_python_3_pickles_are_read(value, protocol):
    # Protocol 2 has no empty bytes; Python 3 writes them as a call of `bytes`, which no CIFAR file has.
    content = pickle.dumps(value, protocol)
    if protocol == 2 and b"bytes\n" in content:
        with pytest.raises(DataError, match="builtin"):
            restricted_loads(content, PATH)
    else:
        assert restricted_loads(content, PATH) == value


def test_the_writer_of_these_tests_begins_a_batch_as_the_official_file_begins(pickled):
    batch = {b"batch_label": b"training batch 1 of 5", b"labels": [6, 9], b"data": np.zeros((1, 3072), np.uint8)}
    content = pickled(batch)
    assert content.startswith(
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\t"
    )
    read = pickle.loads(content, encoding="bytes")
    np.testing.assert_array_equal(read[b"data"], batch[b"data"])


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(0, 6), min_size=1, max_size=3), seed=st.integers(0, 99), order=st.sampled_from("CF"))
def test_arrays_are_read_as_numpy_reads_them(shape, seed, order):
    array = np.asarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), order=order)
    protocol = 2 if array.size else 4  # in protocol 2, Python 3 writes empty bytes as a call
    read = restricted_loads(pickle.dumps([1, {b"data": array}], protocol), PATH)
    np.testing.assert_array_equal(read[1][b"data"], array)
    assert read[1][b"data"].dtype == np.uint8


def test_an_array_that_stands_twice_is_one_array():
    array = np.arange(6, dtype=np.uint8)
    read = restricted_loads(pickle.dumps({1: array, 2: array, 3: {4: array}}, 2), PATH)
    assert read[1] is read[2] is read[3][4]


def test_arrays_of_numpy_1_and_2_are_read():
    content = pickle.dumps(np.arange(4, dtype=np.uint8), 2)
    assert b"numpy._core.multiarray" in content
    for spelling in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        read = restricted_loads(content.replace(b"numpy._core.multiarray", spelling), PATH)
        np.testing.assert_array_equal(read, np.arange(4))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda call: call, lambda call: {b"data": [call]}], ids=["bare", "nested"])
def test_calls_are_refused_in_every_protocol(protocol, wrap, victim):
    for call in (
        Call(os.system, f"touch {victim}"),
        Call(os.mkdir, str(victim)),
        Call(builtins.eval, f"__import__('os').mkdir({str(victim)!r})"),
        Call(builtins.exec, f"open({str(victim)!r}, 'w')"),
        Call(getattr, [], "append"),
        Call(copyreg._reconstructor, Path, object, None),
        Call(pickle.loads, pickle.dumps(Call(os.mkdir, str(victim)))),
    ):
        with pytest.raises(DataError, match=r"refused at byte .* Nothing of it was run"):
            restricted_loads(pickle.dumps(wrap(call), protocol), PATH)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_objects_are_refused_with_the_pickle_that_they_nest(protocol, victim):
    array = np.array([Call(os.mkdir, str(victim))], dtype=object)
    with pytest.raises(DataError, match="refused at byte"):
        restricted_loads(pickle.dumps({b"data": array}, protocol), PATH)


@pytest.mark.parametrize("dtype", ["int64", "float32", "U3", "M8[s]", [("a", "u1"), ("b", "O")]])
def test_arrays_of_other_types_are_refused(dtype):
    with pytest.raises(DataError, match=r"refused .* an array of type"):
        restricted_loads(pickle.dumps({b"data": np.zeros(3, dtype)}, 2), PATH)


NDARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
UINT8 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)


@pytest.mark.parametrize(
    "program",
    {
        "os.system": b"cos\nsystem\nU\x02id\x85R",
        "builtins.eval": b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R",
        "python 2 builtins": b"c__builtin__\neval\nU\x011\x85R",
        "dotted name": b"\x8c\x05numpy\x8c\x1ccore.multiarray._reconstruct\x93",
        "other of numpy": b"cnumpy\nload\nU\x01x\x85R",
        "numpy scalar": b"cnumpy.core.multiarray\nscalar\n" + UINT8 + b"U\x01a\x86R",
        "frombuffer": b"cnumpy.core.numeric\n_frombuffer\nU\x01a" + UINT8 + HUGE + b"\x85U\x01C(t\x85R",
        "ndarray itself called with a huge shape": b"cnumpy\nndarray\n" + HUGE + b"\x85\x85R",
        "ndarray itself as class": b"cnumpy\nndarray\n" + HUGE + b"\x85\x85\x81",
        "reconstruct of another class": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R",
        "encode with another codec": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R",
        "encode of bytes": b"c_codecs\nencode\nU\x01aX\x06\x00\x00\x00latin1\x86R",
        "persistent id": b"U\x01aQ",
        "persistent id as text": b"Pa\n",
        "extension": b"\x82\x01",
        "instance": b"(ios\nsystem\n",
        "object": b"(cos\nsystem\no",
        "state of a name": b"cnumpy\nndarray\nU\x01aK\x01\x86b",
        "text float": b"F1e400\n",
        "text number of any length": b"I" + b"9" * 5000 + b"\n",
        "set": b"\x8f",
        "bytearray": b"\x96" + struct.pack("<Q", 2**60),
        "buffer out of band": b"\x97",
        "huge number": b"\x8b" + struct.pack("<i", 2**31 - 1),
        "number of 255 bytes": b"\x8a\xff" + b"\x7f" * 255,
    }.items(),
    ids=lambda item: item[0],
)
def test_what_cifar_does_not_need_is_refused(program):
    with pytest.raises(DataError, match="batch: refused at byte"):
        restricted_loads(b"\x80\x02" + program[1] + b".", PATH)


@pytest.mark.parametrize(
    "program",
    {
        "nothing": b"",
        "no end": b"K\x01",
        "an end of nothing": b".",
        "two values": b"K\x01K\x02.",
        "an open mark": b"K\x01(.",
        "no mark": b"K\x01t.",
        "no mark for a list": b"]e.",
        "no dictionary": b"]K\x01K\x02s.",
        "no list": b"}K\x01a.",
        "a key without a value": b"}(K\x01u.",
        "a tuple from an empty stack": b"\x85.",
        "a call of nothing": b"R.",
        "a call of a number": b"K\x01)R.",
        "a call with no tuple": b"cnumpy\ndtype\nU\x02u1R.",
        "a call with too few": b"cnumpy\ndtype\n)R.",
        "a state of nothing": b"K\x01b.",
        "an unknown memo": b"h\x07.",
        "a memo of nothing": b"q\x07.",
        "a name on the stack that is none": b"K\x01K\x02\x93.",
        "a name cut short": b"cnumpy",
        "a name that is no ASCII": b"c\xff\n\xff\n.",
        "text that is no UTF-8": b"\x8c\x01\xff.",
        "text beyond latin1": b"c_codecs\nencode\nX\x03\x00\x00\x00\xe2\x82\xacX\x06\x00\x00\x00latin1\x86R.",
        "a string longer than the file": b"T\xff\xff\xff\x7fabc.",
        "a string of negative length": b"T\xff\xff\xff\xffabc.",
        "an array without bytes": NDARRAY + b".",
        "an array in a dictionary without bytes": b"}K\x01" + NDARRAY + b"s.",
        "an array with a huge shape": NDARRAY + b"(K\x01" + HUGE + b"\x85" + UINT8 + b"\x89U\x01atb.",
        "an array with a negative shape": NDARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + UINT8 + b"\x89U\x00tb.",
        "an array with too many dimensions": NDARRAY + b"(K\x01(" + b"K\x01" * 5 + b"t" + UINT8 + b"\x89U\x01atb.",
        "an array of no type": NDARRAY + b"(K\x01K\x01\x85N\x89U\x01atb.",
        "an array of text": NDARRAY + b"(K\x01K\x01\x85" + UINT8 + b"\x89X\x01\x00\x00\x00atb.",
        "an array with a short state": NDARRAY + b"K\x01\x85b.",
        "a state that is a dictionary": NDARRAY + b"}b.",
        "a tuple as key": b"}" + b")K\x01s.",
        "deeply nested tuples as key": b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_pickle_that_makes_no_sense_is_damaged(program):
    with pytest.raises(DataError, match="batch: damaged pickle"):
        restricted_loads(b"\x80\x02" + program[1], PATH)


def test_what_follows_the_end_is_noticed():
    with pytest.raises(DataError, match="the pickle ends at byte 5, the file has 6"):
        restricted_loads(b"\x80\x02K\x01..", PATH)


@pytest.mark.parametrize(
    "program",
    {
        "deep lists": b"]" * 100_000 + b"a" * 99_999 + b".",
        "deep tuples": b")" + b"\x85" * 300_000 + b".",
        "deep marks": b"(" * 300_000 + b"t" * 300_000 + b".",
        "a list in itself": b"]q\x00h\x00a.",
    }.items(),
    ids=lambda item: item[0],
)
def test_deep_nesting_is_no_danger(program):
    try:
        value = restricted_loads(b"\x80\x02" + program[1], PATH)
    except DataError:
        return
    del value  # the deepest of them must also go without a crash


@pytest.mark.parametrize(
    "program",
    {
        "a huge memo index": b"K\x01r\xff\xff\xff\x7f.",
        "one string encoded again and again": b"X"
        + struct.pack("<I", 2_000_000)
        + b"a" * 2_000_000
        + b"q\x00c_codecs\nencode\nq\x01X\x06\x00\x00\x00latin1q\x02"
        + b"h\x01h\x00h\x02\x86R" * 100_000,
    }.items(),
    ids=lambda item: item[0],
)
def test_memory_is_bounded_by_the_size_of_the_file(program):
    content = b"\x80\x02" + program[1]
    tracemalloc.start()
    try:
        restricted_loads(content, PATH)
    except DataError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 80 * len(content) + 100_000


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage_is_a_data_error_or_harmless(pickled, data):
    content = bytearray(pickled({b"labels": [1, 2, 300], b"data": np.zeros((2, 3), np.uint8), b"names": [b"a", b"b"]}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    message = ""
    try:
        restricted_loads(bytes(content), PATH)
    except DataError as error:
        message = str(error)
    assert message.isprintable()  # nothing of the file reaches a terminal as it is


def test_the_number_of_instructions_is_bounded():
    with pytest.raises(DataError, match="more than 2,000,000 instructions"):
        restricted_loads(b"\x80\x02" + b"}" * 2_500_000, PATH)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=60))
def test_random_bytes_are_a_data_error_or_harmless(content):
    try:
        restricted_loads(content, PATH)
    except DataError:
        return
