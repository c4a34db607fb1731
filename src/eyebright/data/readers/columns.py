"""Which columns of a table mean what, and what stands in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eyebright.errors import DataError, suggestion
from eyebright.picture_options import PictureOptions

_USUAL = {  # names of columns, compared without case and with "-" and " " as "_"; the first that is there is taken
    "image": (
        *("image", "path", "file", "filename", "file_name", "image_path", "filepath", "file_path", "img", "picture"),
        *("image_file", "image_name", "photo", "images", "img_path"),
    ),
    "label": ("label", "class", "category", "class_name", "label_name", "target", "species", "labels", "classname"),
    "split": ("split", "subset", "partition"),
    "group": (),
}
_MANY = 20  # columns in a message


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        table: the file.
        where: it stands, for messages.
        name: of the row, for the name of a picture that is in it.
        values: by column.
    """

    table: Path
    where: str
    name: str
    values: dict[str, Any]


class Columns(NamedTuple):
    """Which columns of a table mean what.

    Attributes:
        image: has the pictures' paths, or the pictures.
        label: has their classes.
        split: says train, validation or test; None where no column does.
        group: says which pictures belong together; None where no column does.
        notes: of what was chosen between, in whole sentences.
    """

    image: str
    label: str
    split: str | None
    group: str | None
    notes: tuple[str, ...]

    @property
    def used(self) -> list[str]:
        """All that are read."""
        return [column for column in self[:4] if column is not None]


def find_columns(table: Path, names: Sequence[str], options: PictureOptions) -> Columns:
    """Find the columns by the user's options, or else by their usual names.

    Args:
        table: for messages.
        names: of its columns.
        options: what the user said.

    Raises:
        DataError: a column that was asked for or is needed is not there, or is there twice.
    """
    simple: dict[str, list[str]] = {}
    for name in names:
        simple.setdefault(name.lower().replace("-", "_").replace(" ", "_"), []).append(name)
    notes = []

    def find(purpose: str, asked: str | None, *, needed: bool) -> str | None:
        if asked is not None:
            if asked not in names:
                raise DataError(f"{table}: it has no column {asked!r}.{suggestion(asked, names[:_MANY])}")
            return asked
        found = [name for usual in _USUAL[purpose] for name in simple.get(usual, ())]
        if len(found) > 1:
            notes.append(
                f"{table.name}: the column {found[0]!r} is taken for the {purpose}, not {', '.join(found[1:])} "
                f"(--{purpose}-column says another)."
            )
        if found or not needed:
            return found[0] if found else None
        more = f" and {len(names) - _MANY:,} more" if len(names) > _MANY else ""
        raise DataError(
            f"{table}: which column is the {purpose}? Its first line, or schema, has "
            f"{', '.join(names[:_MANY]) or 'none'}{more}. Say it with --{purpose}-column."
        )

    image, label = find("image", options.image_column, needed=True), find("label", options.label_column, needed=True)
    split, group = find("split", options.split_column, needed=False), find("group", options.group_column, needed=False)
    columns = Columns(str(image), str(label), split, group, tuple(notes))
    for column in columns.used:
        if list(names).count(column) > 1:
            raise DataError(f"{table}: two columns are called {column!r}. Rename one of them.")
    return columns


def text_of(row: Row, column: str) -> str:
    """What stands in a row's column, as text without spaces around it; "" for nothing.

    Raises:
        DataError: no text, number or truth value.
    """
    value = row.values[column]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str | int | float):
        raise DataError(
            f"{row.where}: the column {column!r} has {type(value).__name__}s. One text or number is needed."
        )
    return str(value).strip()
