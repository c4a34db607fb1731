"""The ledger of looks at test images, written by several processes, damaged, and out of reach."""

import json
import subprocess
import sys

import pytest

from eyebright.ledger import LooksOfData, count_look, ledger_path, looks_of_data

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    path = tmp_path / "user" / "looks.json"
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(path))
    return path


def test_looks_are_counted_by_data_and_run(ledger, tmp_path):
    assert looks_of_data(ONE) == LooksOfData(0, 0)
    assert count_look(ONE, tmp_path / "a") == LooksOfData(1, 1)
    assert count_look(ONE, tmp_path / "a") == LooksOfData(2, 1)
    assert count_look(OTHER, tmp_path / "b") == LooksOfData(1, 1)
    assert count_look(ONE, tmp_path / "b") == looks_of_data(ONE) == LooksOfData(3, 2)
    assert looks_of_data(OTHER) == LooksOfData(1, 1)


def test_the_looks_of_several_runs_are_said_and_those_of_one_are_not(ledger, tmp_path):
    assert count_look(ONE, tmp_path / "a").sentence == ""
    assert count_look(ONE, tmp_path / "a").sentence == ""
    assert count_look(ONE, tmp_path / "b").sentence == "This test set has been looked at 3 times by 2 of your runs."


def test_a_run_is_the_same_from_whatever_directory_it_is_named(ledger, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    count_look(ONE, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert count_look(ONE, tmp_path / "run" / ".." / "run") == LooksOfData(2, 1)


def test_no_look_is_lost_where_several_processes_count(ledger, tmp_path):
    code = "import sys; from pathlib import Path; from eyebright.ledger import count_look\n"
    code += "for i in range(10): count_look(sys.argv[1], Path(sys.argv[2]))"
    processes = [subprocess.Popen([sys.executable, "-c", code, ONE, tmp_path / str(i)]) for i in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert looks_of_data(ONE) == LooksOfData(40, 4)
    assert {path.name for path in ledger.parent.iterdir()} <= {"looks.json", ".looks.json.lock"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"looks": []}',
        b'{"looks": {"1": 3}}',
        b'{"looks": {"1": {"run": "many"}}}',
        b'{"version": 2, "looks": {}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_ledger_is_left_as_it_is_and_said(content, ledger, tmp_path):
    ledger.parent.mkdir()
    ledger.write_bytes(content)
    for looks in (count_look(ONE, tmp_path / "a"), looks_of_data(ONE)):
        assert (looks.looks, looks.runs) == (None, None)
        assert looks.sentence == looks.warning
        assert looks.warning.startswith(f"{ledger}: the ledger of looks at test images cannot be used, and ")
    assert ledger.read_bytes() == content


def test_a_ledger_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "file" / "looks.json"))
    assert "this look is not counted in it" in count_look(ONE, tmp_path / "a").warning


def test_it_lies_in_the_users_data_directory_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("EYEBRIGHT_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = ledger_path()
    assert (path.name, tmp_path in path.parents) == ("test_looks.json", True)


def test_what_it_holds_is_plain_json(ledger, tmp_path):
    count_look(ONE, tmp_path / "a")
    assert json.loads(ledger.read_text()) == {"version": 1, "looks": {ONE: {str(tmp_path / "a"): 1}}}
