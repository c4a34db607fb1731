"""Folders of pictures: `class/picture.jpg`, or `train/class/picture.jpg` with `validation/` and `test/`."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from eyebright.data.listing import ListedPicture, Listing
from eyebright.data.picture_names import cannot_list, is_hidden, is_picture, shown_path, split_of, walk
from eyebright.errors import DataError


class _Content(NamedTuple):
    """What lies in a directory: the folders that count, and the names of the pictures and other files beside them."""

    folders: list[Path]
    pictures: list[str]
    others: list[str]


def list_folder(root: Path) -> Listing | None:
    """List the pictures of a directory whose folders are classes, or splits with classes in them.

    Folders within a class's folder belong to the class. A directory that has nothing but one folder is looked
    through: archives are often packed so.

    Args:
        root: the directory.

    Returns:
        The listing; None if no picture is anywhere below.

    Raises:
        DataError: pictures that lie in no class's folder, folders of classes beside those of splits, two folders of
            one split, or a directory that cannot be read.
    """
    ignored: Counter[str] = Counter()
    top = innermost(root, ignored)
    content = _content(top, ignored)
    splits = {folder: split for folder in content.folders if (split := split_of(folder.name)) and has_folders(folder)}
    if splits:
        classes = _classes_of_splits(content.folders, splits, ignored)
    else:
        classes = [(folder, "") for folder in content.folders]
    pictures: list[ListedPicture] = []
    empty = []
    for folder, split in classes:
        found = _of_class(root, folder, split, ignored)
        pictures += found
        if not found:
            empty.append(shown_path(str(folder.relative_to(root))))
    if content.pictures:
        raise DataError(
            f"{top}: of which class are the pictures that lie in it ({len(content.pictures):,}: "
            f"{shown_path(content.pictures[0])} …)? A folder is a class: put each picture into one."
        )
    if not pictures:
        return None
    if not splits and len(classes) > 1 and all(split_of(folder.name) for folder, _ in classes):
        raise DataError(
            f"{top}: of which classes are the pictures in {_names(content.folders)}? They lie in no class's folder. "
            f"Put them into {content.folders[0].name}/CLASS/, or give the path of a table that has their classes."
        )
    return Listing(shown_path(root.resolve().name), root, tuple(pictures), dict(ignored), empty_classes=tuple(empty))


def innermost(root: Path, ignored: Counter[str], stop_at: tuple[str, ...] = ()) -> Path:
    """The directory, or if there is nothing but one folder in it, and folders in that, the directory within.

    Args:
        root: the directory.
        ignored: what is passed over on the way is counted here.
        stop_at: what the names of files end with that are not passed by.
    """
    while True:
        beside: Counter[str] = Counter()
        content = _content(root, beside)
        stop = any(name.lower().endswith(stop_at) for name in content.others)
        if content.pictures or stop or len(content.folders) != 1:
            return root
        (inner,) = content.folders
        if split_of(inner.name) or not has_folders(inner):
            return root
        ignored.update(beside)
        root = inner


def folders_of(directory: Path) -> list[Path]:
    """The folders of a directory that count, in order."""
    return _content(directory, Counter()).folders


def has_folders(directory: Path) -> bool:
    """Whether there are folders in a directory that count."""
    try:
        with os.scandir(directory) as entries:
            return any(not is_hidden(entry.name) and _is_folder(entry) for entry in entries)
    except OSError as error:
        raise cannot_list(directory, error) from error


def _content(directory: Path, ignored: Counter[str]) -> _Content:
    try:
        with os.scandir(directory) as entries:
            is_folder = {entry.name: _is_folder(entry) for entry in entries}
    except OSError as error:
        raise cannot_list(directory, error) from error
    names = sorted(is_folder)
    if hidden := sum(is_folder[name] and is_hidden(name) for name in names):
        ignored["hidden folders"] += hidden
    files = {name: is_picture(name, ignored) for name in names if not is_folder[name]}
    return _Content(
        [directory / name for name in names if is_folder[name] and not is_hidden(name)],
        [name for name, picture in files.items() if picture],
        [name for name, picture in files.items() if not picture and not is_hidden(name)],
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself
            return False
        raise


def _classes_of_splits(folders: list[Path], splits: dict[Path, str], ignored: Counter[str]) -> list[tuple[Path, str]]:
    """The folders of classes, each with its split."""
    for folder in folders:
        if folder not in splits and (pictures := walk(folder, ignored)):
            raise DataError(
                f"{folder}: {len(pictures):,} pictures, and it lies beside {_names(list(splits))}: is it a split or a "
                "class? Name it train, validation or test, with folders of classes in it, or move it away."
            )
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{folders[0].parent}: two of the folders {_names(list(splits))} are the same split.")
    classes = []
    for folder, split in splits.items():
        content = _content(folder, ignored)
        if content.pictures:
            raise DataError(
                f"{folder}: {len(content.pictures):,} pictures lie beside the classes' folders "
                f"({shown_path(content.pictures[0])} …). Put each into one of them."
            )
        classes += [(inner, split) for inner in content.folders]
    return classes


def _of_class(root: Path, folder: Path, split: str, ignored: Counter[str]) -> list[ListedPicture]:
    above = len(str(root / "x")) - 1  # of a path below it, what is cut off
    return [ListedPicture(shown_path(file[above:]), file, folder.name, split) for file in walk(folder, ignored)]


def _names(folders: list[Path]) -> str:
    return ", ".join(shown_path(folder.name) for folder in folders)
