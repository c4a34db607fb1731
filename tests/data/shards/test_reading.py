"""Shards that are missing, cut, damaged or from another set are named; what is whole is used."""

from __future__ import annotations

import contextlib
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright import load_dataset
from eyebright.data.audit import collect
from eyebright.data.places import place_of
from eyebright.data.shards import ShardSize, ShardStream, read_shards, write_shards
from eyebright.data.shards.index import Shard, read_index
from eyebright.data.shards.members import Sample, pack, unpack
from eyebright.data.shards.reading import read_shard
from eyebright.errors import DataError, ImageError, SettingsError
from eyebright.picture_options import PictureOptions
from eyebright.storage import json_bytes, sha256

from .conftest import numbered
from .test_writing import save


@pytest.fixture
def shards(tmp_path):
    write_shards(save(numbered(40), tmp_path / "a.npz"), tmp_path / "shards", size=ShardSize(images=10))
    return tmp_path / "shards"


def resealed(directory, change):
    """Change what an index says, so that it matches its own hash."""
    path = directory / "index.json"
    content = json.loads(path.read_bytes())
    del content["index_sha256"]
    change(content)
    path.write_bytes(json_bytes({**content, "index_sha256": sha256(json_bytes(content))}))


def replaced(directory, name, samples):
    """Put another shard in the place of one, in the index as well."""
    content = pack(samples)
    (directory / name).write_bytes(content)

    def change(index):
        shard = next(shard for shard in index["shards"] if shard["name"] == name)
        shard |= {"images": len(samples), "bytes": len(content), "sha256": sha256(content)}

    resealed(directory, change)


def test_a_second_start_reads_no_shard(shards):
    first = load_dataset(shards)
    for path in shards.glob("*.tar"):
        path.unlink()
    assert load_dataset(shards).fingerprint == first.fingerprint


def test_a_directory_of_shards_has_its_url_and_its_place_as_source(shards):
    assert load_dataset(str(shards)).source == str(shards)


def test_shards_are_checked_as_any_data(shards):
    with collect(str(shards), PictureOptions()) as collection:
        assert collection.images == 40


DAMAGES = {
    "missing": (lambda path: path.unlink(), "missing"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), r"cut, or from another set \(5,000 bytes where"),
    "empty": (lambda path: path.write_bytes(b""), "cut"),
    "a flipped bit": (lambda path: path.write_bytes(path.read_bytes().replace(b"\0", b"\1", 1)), "damaged, or from"),
    "another set": (lambda path: path.write_bytes(path.with_name("test-000000.tar").read_bytes()), "another set"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "another set"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize(
    "read", [load_dataset, lambda path: next(ShardStream(path, 30).batches())], ids=["all", "stream"]
)
def test_a_shard_at_fault_is_named(shards, name, read):
    damage, message = DAMAGES[name]
    damage(shards / "train-000001.tar")
    with pytest.raises(DataError, match=f"{re.escape(str(shards / 'train-000001.tar'))}: .*{message}"):
        read(shards)


def test_every_flipped_bit_of_an_index_is_noticed(shards):
    whole = (shards / "index.json").read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (shards / "index.json").write_bytes(damaged)
        with pytest.raises(DataError):
            load_dataset(shards)


CHANGES = {
    "a newer version": (lambda index: index.update(version=2), "newer"),
    "another kind": (lambda index: index.update(kind="other"), "of kind 'other'"),
    "no shards": (lambda index: index.update(shards=[]), "shards: "),
    "a path out of it": (lambda index: index["shards"][0].update(name="../a.tar"), r"shards\.0\.name"),
    "an unknown field": (lambda index: index.update(more=1), "more: "),
    "too few classes": (lambda index: index.update(class_names=["a", "b"]), r"labels must lie in 0 … 1"),
    "other counts": (lambda index: index["shards"][0].update(images=3), "where the index says 3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_index_that_cannot_be_is_refused(shards, name):
    change, message = CHANGES[name]
    resealed(shards, change)
    with pytest.raises(DataError, match=message):
        load_dataset(shards)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"eyebright-shards"', b"[" * 100_000, b"\xff"])
def test_an_index_that_is_none_is_refused(shards, content):
    (shards / "index.json").write_bytes(content)
    with pytest.raises(DataError, match=r"index\.json: "):
        load_dataset(shards)


def test_shards_without_their_index_are_none(shards):
    (shards / "index.json").unlink()
    with pytest.raises(DataError, match="no data set is recognised"):
        load_dataset(shards)
    with pytest.raises(DataError, match=r"index\.json: missing"):
        ShardStream(shards, 10)


def test_another_index_in_a_folder_of_pictures_is_left_aside(tmp_path):
    from PIL import Image

    for number in range(6):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
    (tmp_path / "pictures" / "index.json").write_text('{"made by": "another program"}')
    assert len(load_dataset(tmp_path / "pictures")) == 6


def test_a_picture_that_cannot_be_decoded_is_named(shards):
    place = place_of(shards)
    index = read_index(place)
    shard = next(shard for shard in index.shards if shard.name == "train-000001.tar")
    first, *others = read_shard(place, index, shard)
    replaced(shards, shard.name, [first._replace(picture=b"no picture", path="cat.png"), *others])
    with pytest.raises(ImageError, match=r"train-000001\.tar: picture cat\.png: no picture that can be read"):
        read_shards(shards)


@pytest.mark.parametrize("place", [39, 40])
def test_a_picture_that_is_there_twice_or_beyond_the_others_is_refused(shards, place):
    replaced(shards, "train-000001.tar", [Sample(place, 0, b"", "png")])
    with pytest.raises(DataError, match="others have, or that cannot be"):
        read_shards(shards)


@pytest.mark.parametrize("content", [b"", b"no tar file" * 100, b"\0" * 10240])
def test_a_shard_that_is_no_tar_file_is_refused_though_its_hash_is_right(shards, content):
    (shards / "train-000001.tar").write_bytes(content)

    def change(index):
        shard = next(shard for shard in index["shards"] if shard["name"] == "train-000001.tar")
        shard |= {"bytes": max(1, len(content)), "sha256": sha256(content)}

    resealed(shards, change)
    with pytest.raises(DataError, match=r"train-000001\.tar"):
        read_shards(shards)


def test_options_of_pictures_are_refused(shards):
    with pytest.raises(SettingsError, match=r"--image-size: is for picture files; a comes as pixels of one size"):
        load_dataset(shards, options=PictureOptions(image_size=8))


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_tar_file_of_any_bytes_is_read_or_refused(place, replacement):
    """What somebody else has written, hash and all: never another error, never without an end."""
    content = bytearray(pack([Sample(number, 0, b"picture", "png", "a.png") for number in range(3)]))
    start = place % (len(content) - len(replacement))
    content[start : start + len(replacement)] = replacement
    shard = Shard(name="a.tar", split="train", images=3, bytes=len(content), sha256="0" * 64)
    with contextlib.suppress(DataError):
        assert len(unpack("a.tar", bytes(content), shard, 1)) == 3
