"""What lies at a path, folders of pictures, a table or an archive, and the pictures in it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from eyebright.data.listing import Listing, read_exclusions
from eyebright.data.picture_names import is_hidden, shown_path, split_of
from eyebright.data.readers import recognised
from eyebright.data.readers.folders import folders_of, has_folders, innermost, list_folder
from eyebright.data.readers.tables import TABLE_SUFFIXES, list_table, parquet_files
from eyebright.data.unpacking import is_archive, unpack
from eyebright.data.workspace import working_directory
from eyebright.errors import DataError, SettingsError
from eyebright.picture_options import PictureOptions


@contextlib.contextmanager
def open_listing(path: Path, options: PictureOptions, *, checked: bool = True) -> Iterator[Listing]:
    """What pictures a data set has; their files are there as long as the context lasts.

    Args:
        path: a directory, a table or an archive.
        options: what is read, and what is left out.
        checked: whether classes are refused that nothing can be learnt from; see `Listing.check`.

    Raises:
        DataError: what lists the pictures cannot be read, or, if `checked`, the classes are refused.
        SettingsError: groups by a column and by a pattern.
    """
    if options.group_regex and options.group_column:
        raise SettingsError("--group-regex: the groups come from --group-column already. Give one of the two.")
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(working_directory()) if packed_files(path, options) else None
        listing = _listing(path, options, scratch)
        if options.group_regex:
            listing = listing.grouped_by(options.group_regex)
        if options.exclude:
            listing = listing.without(read_exclusions(Path(options.exclude)), options.exclude)
        if checked:
            listing.check()
            listing = listing.with_plain_names()
        yield listing


def packed_files(path: Path, options: PictureOptions) -> list[Path]:
    """The files that have pictures in themselves: an archive or Parquet files; none for folders and text tables."""
    if path.is_dir():
        table = _table_of(path, options)
        if table is None:
            return []
        path = table
    elif not stat.S_ISREG(_mode(path)):
        raise DataError(f"{path}: this is no regular file.")
    if path.is_dir():
        return parquet_files(path)
    return [path] if is_archive(path) or path.suffix.lower() == ".parquet" else []


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _listing(path: Path, options: PictureOptions, scratch: Path | None) -> Listing:
    if scratch is None or not is_archive(path):
        return _of_directory_or_table(path, options, scratch)
    unpacked, inside = scratch / "unpacked", scratch / "inside"
    unpacked.mkdir()
    inside.mkdir()
    ignored = Counter(unpack(path, unpacked, TABLE_SUFFIXES))
    try:
        listing = _of_directory_or_table(unpacked, options, inside)
    except DataError as error:  # whose places are those of the archive, not of where it was unpacked
        message = str(error).replace(f"{unpacked}{os.sep}", f"{path}: ").replace(str(unpacked), str(path))
        raise type(error)(message) from error
    name = shown_path(path.resolve().name.partition(".")[0])
    return replace(listing, name=name, root=path, ignored=ignored + Counter(listing.ignored), copies=scratch)


def _of_directory_or_table(path: Path, options: PictureOptions, scratch: Path | None) -> Listing:
    if not path.is_dir():
        return list_table(path, options, scratch)
    table = _table_of(path, options)
    if table is not None:
        return list_table(table, options, scratch)
    listing = list_folder(path)
    if listing is None:
        raise DataError(f"{path}: no data set is recognised in it. {recognised()}")
    unread = ", ".join(table.name for table in _tables(_top(path)))
    note = f"{unread}: not read, as the folders are the classes. To use a table, give its path."
    return replace(listing, notes=(note,)) if unread else listing


def _table_of(directory: Path, options: PictureOptions) -> Path | None:
    """What lists a directory's pictures: a table, or the directory where Parquet files lie; None where folders do.

    Folders do if there are several of them, unless the options are those of tables; beside a table, a single folder has
    its pictures, and so have folders of splits that have no classes in them.
    """
    top = _top(directory)
    tables = _tables(top)
    if not tables:
        nested = top / "data"  # where Hugging Face has Parquet files
        return nested if nested.is_dir() and not has_folders(nested) and parquet_files(nested) else None
    if len(tables) > 1 and all(table.suffix.lower() == ".parquet" for table in tables):
        return top
    folders = folders_of(top)
    are_classes = len(folders) > 1 and not all(split_of(f.name) and not has_folders(f) for f in folders)
    if are_classes and not (options.image_column or options.label_column):
        return None
    if len(tables) > 1:
        raise DataError(f"{top}: several tables ({', '.join(t.name for t in tables)}). Give the path of one.")
    return tables[0]


def _top(directory: Path) -> Path:
    return innermost(directory, Counter(), stop_at=TABLE_SUFFIXES)


def _tables(directory: Path) -> list[Path]:
    paths = (path for path in directory.iterdir() if path.name.lower().endswith(TABLE_SUFFIXES))
    return sorted(path for path in paths if path.is_file() and not is_hidden(path.name))
