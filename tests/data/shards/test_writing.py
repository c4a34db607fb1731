"""From data to shards and back: the same data set, the same bytes, and a form that others read."""

from __future__ import annotations

import io
import json
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from eyebright import load_dataset
from eyebright.data.shards import ShardSize, write_shards
from eyebright.errors import MissingExtraError, SettingsError, StorageError
from eyebright.picture_options import PictureOptions

from .conftest import numbered


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def save(dataset, path):
    np.savez(path, images=dataset.images, labels=dataset.labels, class_names=dataset.class_names, **dataset.splits)
    return path


@pytest.fixture
def pictures(tmp_path):
    """Pictures of several sizes and kinds in two classes, with splits; two have the same pixels."""
    for number in range(24):
        kind = ("png", "jpg", "webp")[number % 3]
        path = tmp_path / "pictures" / ("train", "test")[number % 4 == 3] / "ab"[number % 2] / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (30 + number % 5, 40, 3)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, size, np.uint8)).save(path)
    (path.parents[2] / "train" / "a" / "twin.png").write_bytes((path.parents[2] / "train" / "a" / "0.png").read_bytes())
    return tmp_path / "pictures"


def test_arrays_come_back_with_their_fingerprint(tmp_path, image_shape):
    source = save(numbered(40, image_shape) if image_shape != (1, 1, 3) else numbered(40), tmp_path / "a.npz")
    write_shards(source, tmp_path / "shards", size=ShardSize(images=7))
    read, original = load_dataset(tmp_path / "shards"), load_dataset(source)
    assert read.fingerprint == original.fingerprint
    assert (read.images == original.images).all()
    assert (read.name, read.notes, read.paths) == ("a", (), ())


@pytest.mark.parametrize("options", [{}, {"image_size": (16, 24), "fit": "pad"}, {"colour": "grey"}], ids=str)
@pytest.mark.parametrize("resized", [False, True])
def test_pictures_come_back_with_their_fingerprint(pictures, tmp_path, options, resized):
    given = PictureOptions(**options)
    write_shards(pictures, tmp_path / "shards", options=given, size=ShardSize(images=5), resized=resized)
    read, original = load_dataset(tmp_path / "shards"), load_dataset(pictures, options=given)
    assert read.fingerprint == original.fingerprint
    assert read.paths == original.paths
    assert read.notes == ()


def test_files_of_pictures_are_kept_as_they_are(pictures, tmp_path):
    write_shards(pictures, tmp_path / "shards", size=ShardSize(images=5))
    originals = {path.relative_to(pictures).as_posix(): path.read_bytes() for path in pictures.rglob("*.*")}
    found = {}
    for path in (tmp_path / "shards").glob("*.tar"):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for name, content in members.items():
            key, _, suffix = name.partition(".")
            if suffix not in ("cls", "json"):
                name = json.loads(members[f"{key}.json"])["path"]
                assert name.endswith(f".{suffix}")
                found[name] = content
    assert found == originals


def test_the_same_data_give_the_same_bytes(pictures, tmp_path):
    for name in ("one", "other"):
        write_shards(pictures, tmp_path / name, size=ShardSize(0.05e6))
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_shard_is_a_tar_file_of_pictures_and_labels(tmp_path):
    dataset = numbered(10, splits=False)
    index = write_shards(save(dataset, tmp_path / "a.npz"), tmp_path / "shards", size=ShardSize(images=10))
    with tarfile.open(tmp_path / "shards" / "data-000000.tar") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        assert [m.name for m in members][:4] == ["000000000.cls", "000000000.png", "000000001.cls", "000000001.png"]
        for place in range(10):
            picture = Image.open(io.BytesIO(tar.extractfile(f"{place:09d}.png").read()))
            assert (np.asarray(picture) == dataset.images[place]).all()
            assert int(tar.extractfile(f"{place:09d}.cls").read()) == dataset.labels[place]
    assert index.splits == {"": 10}


def test_shards_of_a_split_have_as_many_pictures_but_for_one(tmp_path):
    index = write_shards(save(numbered(100), tmp_path / "a.npz"), tmp_path / "shards", size=ShardSize(images=8))
    assert index.splits == {"train": 75, "test": 25}
    for split in ("train", "test"):
        counts = [shard.images for shard in index.of_split(split)]
        assert max(counts) <= 8
        assert max(counts) - min(counts) <= 1
    assert [shard.name for shard in index.shards][:2] == ["test-000000.tar", "test-000001.tar"]


def test_shards_are_about_as_large_as_asked_for(tmp_path):
    index = write_shards("digits", tmp_path / "shards", size=ShardSize(0.5e6))
    assert len(index.shards) > 2
    assert all(0.4e6 < shard.bytes < 0.6e6 for shard in index.shards)


def test_what_is_there_is_never_replaced(tmp_path):
    (tmp_path / "shards").mkdir()
    with pytest.raises(StorageError, match="it is there already"):
        write_shards("digits", tmp_path / "shards")
    assert list((tmp_path / "shards").iterdir()) == []


def test_nothing_is_left_of_shards_that_failed(tmp_path):
    with pytest.raises(SettingsError, match="above 0"):
        write_shards("digits", tmp_path / "shards", size=ShardSize(0))
    (tmp_path / "data" / "a").mkdir(parents=True)
    with pytest.raises(Exception, match="no data set is recognised"):
        write_shards(tmp_path / "data" / "a", tmp_path / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_exclusions_hold(tmp_path):
    (tmp_path / "exclude.txt").write_text("3\n5\n")
    options = PictureOptions(exclude=str(tmp_path / "exclude.txt"))
    index = write_shards("digits", tmp_path / "shards", options=options)
    assert index.images == 1795
    assert load_dataset(tmp_path / "shards").fingerprint == load_dataset("digits", options=options).fingerprint


def test_a_url_without_what_it_needs_says_the_command(tmp_path, monkeypatch):
    registry = pytest.importorskip("fsspec.registry")
    monkeypatch.delitem(registry._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[s3\]'"):
        write_shards("digits", "s3://bucket/digits")
    with pytest.raises(SettingsError, match="not known"):
        write_shards("digits", "nonsense://bucket/digits")
