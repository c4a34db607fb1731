"""Paths that cannot be: exit code 2 and a message that names them, wherever they are given."""

import os

import pytest

LONG = "a" * 300
NOBODY = "~no-such-user/x"
TRANSFER = ("train", "digits", "--model", "transfer", "--weights")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", LONG),
        ("check", f"{LONG}/table.csv"),
        ("check", NOBODY),
        ("check", "cifar10", "--data-dir", NOBODY),
        ("train", NOBODY),
        ("train", "digits", "--quiet", "--teacher", NOBODY),
        ("train", "digits", "--quiet", "--teacher", LONG),
        (*TRANSFER, LONG),
        (*TRANSFER, NOBODY),
        ("tensorboard", LONG),
        ("compare", LONG, "other"),
        ("runs", LONG),
        ("reproduce", LONG),
        ("report", LONG),
        ("find-lr", "--output", f"{LONG}/chart.png"),
        ("datasets", "--data-dir", NOBODY),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "aaa"),
)
def test_a_path_that_cannot_be_is_named(arguments, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*arguments)
    assert code == 2
    assert LONG in err or NOBODY in err
    assert "Traceback" not in err


def test_a_run_directory_whose_name_is_no_utf8_is_refused_before_anything_is_trained(process, tmp_path):
    run_dir = os.fsdecode(bytes(tmp_path) + b"/run\xff")
    code, _, err = process("train", "digits", "--quiet", "--run-dir", run_dir)
    assert code == 2
    assert "must be UTF-8" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
