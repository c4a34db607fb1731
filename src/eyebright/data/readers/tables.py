"""Tables of pictures: CSV, TSV and Parquet with a path (or the picture itself) and a class a row."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eyebright.data.allowance import Allowance
from eyebright.data.listing import ListedPicture, Listing
from eyebright.data.picture_names import plain_path, shown_path, split_of
from eyebright.data.readers.columns import Columns, Row, find_columns, text_of
from eyebright.data.readers.rows import parquet_rows, text_rows
from eyebright.data.workspace import cache_directory
from eyebright.errors import DataError
from eyebright.picture_options import PictureOptions

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def list_table(table: Path, options: PictureOptions, scratch: Path | None = None) -> Listing:
    """List the pictures of a table.

    Paths are relative to the directory that the table lies in. Pictures that are in the table itself, as Hugging Face
    writes them (a column of {bytes, path}), are written into `scratch`.

    Args:
        table: the file, CSV, TSV or Parquet; or a directory of Parquet files, whose names begin with their split.
        options: which columns mean what, and whether paths may leave the directory.
        scratch: for Parquet, an empty directory that stays until the pictures are decoded.

    Raises:
        DataError: a file that is no such table, has not the columns, or a row without picture or class, with a split
            of another name, a path that leaves the directory, or a picture that stands in an earlier row.
        MissingExtraError: a Parquet file, and pyarrow is not installed.
    """
    parts = _parts(table)
    reader = _Reader(table if table.is_dir() else table.parent, scratch, options.allow_outside)
    notes: dict[str, None] = {}
    for part, split in parts:
        names, rows = parquet_rows(part) if part.suffix.lower() == ".parquet" else text_rows(part)
        columns = find_columns(part, names, options)
        notes |= dict.fromkeys(columns.notes)
        for row in rows(columns.used):
            reader.read(row, columns, split)
    return Listing(shown_path(table.resolve().stem), table, tuple(reader.pictures), notes=tuple(notes), copies=scratch)


def parquet_files(directory: Path) -> list[Path]:
    """The Parquet files of a directory, in a fixed order."""
    return sorted(path for path in directory.iterdir() if path.suffix.lower() == ".parquet" and path.name[0] != ".")


def _parts(table: Path) -> list[tuple[Path, str]]:
    """The files of a table, each with the split that its name begins with."""
    if not table.is_dir():
        return [(table, "")]
    parts = [(path, split_of(re.split(r"[-_.]", path.name)[0]) or "") for path in parquet_files(table)]
    unknown = [path.name for path, split in parts if not split]
    if unknown and len(unknown) < len(parts):
        raise DataError(
            f"{table}: the names of some Parquet files begin with their split; {unknown[0]!r} does not. Rename it "
            "(train-…, validation-…, test-…), or move it away."
        )
    return parts


@dataclass
class _Reader:
    """Makes listed pictures of rows.

    Attributes:
        root: the directory that paths are relative to.
        scratch: where pictures are written to that are in the table.
        allow_outside: whether paths may leave `root`.
        pictures: those of the rows so far.
    """

    root: Path
    scratch: Path | None
    allow_outside: bool
    pictures: list[ListedPicture] = field(default_factory=list)
    _seen: dict[Path, str] = field(default_factory=dict)
    _real_folders: dict[Path, Path] = field(default_factory=dict)
    _allowance: Allowance | None = None

    def __post_init__(self) -> None:
        self._real_root = self.root.resolve()

    def read(self, row: Row, columns: Columns, split: str) -> None:
        """Add the picture of a row, of this split if the row itself does not say one."""
        label = text_of(row, columns.label)
        if not label:
            raise DataError(f"{row.where}: no class in the column {columns.label!r}.")
        if columns.split is not None:
            cell = text_of(row, columns.split)
            known = split_of(cell)
            if known is None:
                raise DataError(
                    f"{row.where}: {cell!r} in the column {columns.split!r} is none of train, validation and test. "
                    "Correct it; if another column has the splits, say so with --split-column."
                )
            split = known
        group = text_of(row, columns.group) if columns.group is not None else ""
        value = row.values[columns.image]
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, value)
        if isinstance(path, bytes):  # a column of pictures, without their names
            content, path = path, None
        if content is not None:
            name = f"{row.name}: {path or 'picture'}"  # paths alone may be there twice
            file = self._copy(row, content)
        else:
            name = self._path(row, columns.image, path)
            file = self._file(row, name)
        self.pictures.append(ListedPicture(shown_path(name), str(file), label, split, group))

    def _copy(self, row: Row, content: bytes) -> Path:
        """Write a picture that is in the table into `scratch`."""
        if self.scratch is None:
            raise DataError(f"{row.where}: a picture in the table itself, and no place to unpack it.")
        if self._allowance is None or self._allowance.source != row.table:
            self._allowance = Allowance(row.table, self.scratch)
        self._allowance.begin(row.name)
        self._allowance.read(len(content), row.name)
        self._allowance.keep(len(content), row.name)
        file = self.scratch / str(len(self.pictures))
        try:
            file.write_bytes(content)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{row.where}: its picture cannot be unpacked to {cache_directory()}: {reason}.") from error
        return file

    def _path(self, row: Row, column: str, value: Any) -> str:
        """The path of a row, in the form in which it is the same however it was spelt."""
        if value is None or not str(value).strip():
            raise DataError(f"{row.where}: no picture in the column {column!r}.")
        if not isinstance(value, str) or "\0" in value:
            raise DataError(f"{row.where}: {str(value)[:80]!r} in the column {column!r} is no path of a picture.")
        path = plain_path(value.strip())
        if "\\" in path and not os.path.lexists(self.root / path):  # written on Windows
            path = plain_path(path.replace("\\", "/"))
        if not path:
            raise DataError(f"{row.where}: {value!r} in the column {column!r} is no path of a picture.")
        return path

    def _file(self, row: Row, path: str) -> Path:
        file = self.root / path
        real = self._real(file)
        if not self.allow_outside and not str(real).startswith(os.path.join(self._real_root, "")):  # noqa: PTH118
            raise DataError(
                f"{row.where}: {shown_path(path)} leads out of the directory {self.root}. If it is meant, allow it "
                "with --allow-outside."
            )
        earlier = self._seen.setdefault(real, row.where)
        if earlier != row.where:
            raise DataError(f"{row.where}: {shown_path(path)} stands in {earlier}, too. Name a picture once.")
        return file

    def _real(self, file: Path) -> Path:
        """The path without links, quickly: most files of a table share their folder with others."""
        if file.name in ("", "..") or file.is_symlink():
            return file.resolve()
        folder = file.parent
        if folder not in self._real_folders:
            self._real_folders[folder] = folder.resolve()
        return self._real_folders[folder] / file.name
