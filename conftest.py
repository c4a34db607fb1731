"""What holds for tests and for the examples in docstrings: none of them writes where the user's own things lie."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

_DIRECTORY = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    """Looks at test images are counted in a ledger of this run of the tests."""
    config.stash[_DIRECTORY] = tempfile.TemporaryDirectory(prefix="eyebright-tests-ledger-")
    os.environ["EYEBRIGHT_LEDGER"] = str(Path(config.stash[_DIRECTORY].name) / "test_looks.json")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    config.stash[_DIRECTORY].cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """A command that a test or its fixtures run in this process may choose a backend; the next test does not see it."""
    before = os.environ.get("KERAS_BACKEND")
    try:
        return (yield)
    finally:
        if before is None:
            os.environ.pop("KERAS_BACKEND", None)
        else:
            os.environ["KERAS_BACKEND"] = before
