"""The rows of a table file, one after the other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eyebright.data.readers.columns import Row
from eyebright.data.readers.files import read_bytes
from eyebright.errors import DataError, MissingExtraError

Rows = Callable[[Sequence[str]], Iterator[Row]]  # from names of columns to the rows, with these of their values
_AT_ONCE = 16  # rows of a Parquet file, which may have a large picture each
_BUFFER = 2**20  # bytes of a column that are read ahead; without it, a whole row group is


def text_rows(table: Path) -> tuple[list[str], Rows]:
    """(the columns' names, the rows) of a CSV or TSV file in UTF-8.

    Raises:
        DataError: it cannot be read, or is no such text; while rows are read, one that has another number of cells, or
            a quotation mark that does not end.
    """
    try:
        text = read_bytes(table).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: no text in UTF-8 (byte {error.start:,}). Save it as UTF-8.") from error
    delimiter = "\t" if table.suffix.lower() == ".tsv" else _delimiter(text)
    cells_of_lines = _cells(table, text, delimiter)
    _, names = next(cells_of_lines, (1, []))

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        places = {column: names.index(column) for column in columns}
        for line, cells in cells_of_lines:
            where = f"{table}, line {line:,}"
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise DataError(f"{where}: {len(cells)} cells where the first line has {len(names)}. Mend the line.")
            values = {column: cells[place] for column, place in places.items()}
            yield Row(table, where, f"{table.name}, line {line:,}", values)

    return names, rows


def _cells(table: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(its first line, its cells without spaces around them) of each row, the columns' names first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1  # a cell in quotation marks may have several lines
    except csv.Error as error:
        raise DataError(f"{table}, line {line:,}: {error}. Mend the line.") from error


def _delimiter(text: str) -> str:
    """Of the usual ones, the one that the first line has most of."""
    first = text[: text.find("\n") + 1] or text
    return max((",", ";", "\t"), key=first.count)


def parquet_rows(table: Path) -> tuple[list[str], Rows]:
    """(the columns' names, the rows) of a Parquet file. Integers that Hugging Face has names for become these.

    Raises:
        DataError: it is no Parquet file, or, while rows are read, damaged.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{table}: a Parquet file", "train") from error
    damages = (ArrowException, OSError, ValueError)
    if not table.is_file():  # a pipe would be waited for
        raise DataError(f"{table}: this is no regular file.")
    try:
        with ParquetFile(table) as file:
            names, class_names = list(file.schema_arrow.names), _hugging_face_names(file.schema_arrow.metadata)
    except damages as error:
        raise DataError(f"{table}: no Parquet file that can be read: {_one_line(error)}.") from error

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        number = 0
        try:
            with ParquetFile(table, buffer_size=_BUFFER, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_size=_AT_ONCE, columns=list(columns)):
                    for values in batch.to_pylist():
                        number += 1
                        row = Row(table, f"{table}, row {number:,}", f"{table.name}, row {number:,}", values)
                        _name_classes(row, class_names)
                        yield row
        except damages as error:
            raise DataError(f"{table}: damaged after row {number:,}: {_one_line(error)}.") from error

    return names, rows


def _name_classes(row: Row, class_names: dict[str, Sequence[str]]) -> None:
    for column, known in class_names.items():
        value = row.values.get(column)
        if isinstance(value, int):
            if not 0 <= value < len(known):
                raise DataError(
                    f"{row.where}: {value} in the column {column!r} names no class: there are {len(known)}, from 0. "
                    "(Test sets without labels have -1.) Leave such rows out."
                )
            row.values[column] = known[value]


def _hugging_face_names(metadata: dict[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """The class names that Hugging Face's `datasets` writes beside integer labels, by column."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {column: f["names"] for column, f in features.items() if isinstance(f, dict) and f.get("names")}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
