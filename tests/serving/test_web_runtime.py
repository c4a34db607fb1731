"""ONNX Runtime for browsers is the one that was tested, or is refused."""

import gzip
import tarfile
from pathlib import Path

import pytest

from eyebright.errors import StorageError
from eyebright.serving import web_runtime as module
from eyebright.serving.web_runtime import FILES, PACKAGE, main, web_runtime


def archive(path: Path, content: bytes) -> Path:
    source = path.with_suffix(".part")
    source.write_bytes(content)
    with tarfile.open(path, "w:gz") as tar:
        for member, _, _ in FILES.values():
            tar.add(source, member)
    return path


@pytest.mark.parametrize("content", [b"", b"another build"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(StorageError, match=rf"is not that of {PACKAGE}, or is damaged.*npm pack {PACKAGE}"):
        web_runtime(archive(tmp_path / "other.tgz", content))


@pytest.mark.parametrize(
    "content", [None, b"", b"no archive", gzip.compress(b"no tar", mtime=0), gzip.compress(b"x" * 999, mtime=0)[:50]]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "no.tgz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=f"no.tgz: cannot be read as the archive of {PACKAGE}"):
        web_runtime(path)


def test_where_it_is_missing_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOLDER", "web")  # where it never is
    with pytest.raises(StorageError, match=f"npm pack {PACKAGE}.*--web-runtime.*make web-runtime"):
        web_runtime()


def test_as_a_program_it_says_what_to_fetch_and_refuses_what_is_not_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == f"{PACKAGE}\n"
    assert main([str(archive(tmp_path / "other.tgz", b"other"))]) == 2
    assert "is not that of" in capsys.readouterr().err
