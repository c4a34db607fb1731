"""The page of a search for settings."""

from __future__ import annotations

from pathlib import Path

from eyebright.report.page import WrittenReport
from eyebright.run_directory import RunDirectory
from eyebright.storage import write_file


def write_search_report(search: RunDirectory, path: Path) -> WrittenReport:
    """TODO."""
    write_file(path, b"todo")
    return WrittenReport(path, 0, 0)
