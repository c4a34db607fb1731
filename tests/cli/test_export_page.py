"""`eyebright export --format web`: what it refuses before anything is written."""

from pathlib import Path

import pytest

from eyebright.cli import app
from eyebright.errors import SettingsError, StorageError


def export(*arguments: str) -> None:
    app(["export", *arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "web", "--quantize", "dynamic"], "--quantize dynamic: the page computes in float32"),
        (["--format", "onnx", "--target-error", "0.1"], "--target-error is for a page: give --format web"),
        (["--web-runtime", "x.tgz"], "--web-runtime is for a page"),
        (["--format", "web", "--target-error", "0.1", "--min-confidence", "0.5"], "exclude each other"),
    ],
)
def test_flags_that_make_no_sense_are_refused(tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        export(str(tmp_path), *flags)


def test_other_peoples_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError, match="is there already, and is no page"):
        export(str(tmp_path / "no-such-run"), "--format", "web", "-o", str(tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
