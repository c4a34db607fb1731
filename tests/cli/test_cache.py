import json

import numpy as np
import pytest
from PIL import Image

from eyebright import load_dataset
from eyebright.data import cache


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((5, 4, 3), number, np.uint8)).save(path)
    return tmp_path / "pictures"


def test_what_is_kept_is_listed_as_json(folder, command):
    load_dataset(folder)
    code, out, err = command("cache", "list", "--json")
    assert (code, err) == (0, "")
    (entry,) = cache.entries()
    (read,) = json.loads(out)
    assert (read["path"], read["source"]) == (str(entry.path), str(folder))
    assert (read["images"], read["image_shape"], read["bytes"]) == (4, [5, 4, 3], entry.bytes)
    assert read["used"].startswith("20")


def test_what_is_kept_is_listed_for_people(folder, command, own_cache):
    load_dataset(folder)
    code, out, err = command("cache", "list")
    assert (code, err) == (0, "")
    assert f"│ {folder} " in out
    assert "│ 5 × 4 × 3 │" in out
    assert out.splitlines()[-1] == f"0.0 MB of at most 20,000 MB in {own_cache}"


def test_an_empty_cache_is_listed_as_such(command, own_cache):
    assert command("cache", "list") == (0, f"0.0 MB of at most 20,000 MB in {own_cache}\n", "")
    assert command("cache", "list", "--json") == (0, "[]\n", "")


def test_everything_is_removed_and_nothing_else(folder, command, own_cache):
    load_dataset(folder)
    (cache.entries()[0].path / "entry.json").write_text("damaged")
    assert "(damaged)" in command("cache", "list").out
    (own_cache / "mine.txt").write_text("mine")
    (own_cache / ".working-left").mkdir()  # by a process that was killed
    code, out, err = command("cache", "clear")
    assert (code, out, err) == (0, "Removed 1 data sets, 0.0 MB.\n", "")
    assert [path.name for path in own_cache.iterdir()] == ["mine.txt"]
    assert len(list(folder.rglob("*.png"))) == 4
    assert command("cache", "clear") == (0, "Removed 0 data sets, 0.0 MB.\n", "")


def test_a_limit_that_is_none_is_said(command, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE_GB", "much")
    code, out, err = command("cache", "list")
    assert (code, out) == (2, "")
    assert err == "DataError: EYEBRIGHT_CACHE_GB=much: give the cache's limit in GB, a number above 0.\n"
