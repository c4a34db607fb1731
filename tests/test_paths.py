import os
from pathlib import Path

import pytest

from eyebright.errors import SettingsError
from eyebright.paths import exists, expanded, is_directory, is_file, whole_path

TOO_LONG = Path("a" * 300)


def test_home_directories_are_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    assert expanded("x~") == Path("x~")
    monkeypatch.chdir(tmp_path)
    assert whole_path("x") == whole_path("~/x") == os.path.realpath(tmp_path / "x")


def test_the_home_of_nobody_is_an_error():
    with pytest.raises(SettingsError, match="~no-such-user/x: there is no user 'no-such-user'"):
        expanded("~no-such-user/x")


def test_nothing_is_at_a_path_that_cannot_be(tmp_path):
    for path in (TOO_LONG, TOO_LONG / "x", tmp_path / "none"):
        assert (exists(path), is_directory(path), is_file(path)) == (False, False, False)
    (tmp_path / "file").touch()
    assert (exists(tmp_path / "file"), is_directory(tmp_path / "file"), is_file(tmp_path / "file")) == (
        True,
        False,
        True,
    )
    assert (exists(tmp_path), is_directory(tmp_path), is_file(tmp_path)) == (True, True, False)
