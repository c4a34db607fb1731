"""What pictures a data set has, before one of them is decoded: the same for folders, tables and archives."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from eyebright.data.picture_names import natural_key, plain_path, shown_path
from eyebright.errors import DataError

_SHOWN = 5  # names in a message


class ListedPicture(NamedTuple):
    """One picture of a data set.

    Attributes:
        path: how messages and lists of exclusions name it: relative to the data, its parts between "/".
        file: where its bytes are. No `Path`: of many files, they would take longer than all else about them.
        class_name: what it shows.
        split: train, validation or test, or "" if it came in none.
        group: pictures of the same group stay on one side of a split; "" if it is of none.
    """

    path: str
    file: str
    class_name: str
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """The pictures of a data set.

    Attributes:
        name: what to call the data set.
        root: the directory, table or archive.
        pictures: in no particular order.
        ignored: how many files were passed over, by what they are.
        notes: what the user should know of it, in whole sentences.
        empty_classes: folders of classes in which no picture is, as `path` of a picture names them.
        copies: a directory; the pictures whose files lie in it are copies of what is packed in the archive or table.
    """

    name: str
    root: Path
    pictures: tuple[ListedPicture, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    empty_classes: tuple[str, ...] = ()
    copies: Path | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in natural order."""
        return tuple(sorted({picture.class_name for picture in self.pictures}, key=natural_key))

    def is_copy(self, picture: ListedPicture) -> bool:
        """Whether a picture's file is a copy, of which the time of its last change says nothing."""
        return self.copies is not None and picture.file.startswith(f"{self.copies}{os.sep}")

    def without(self, excluded: Sequence[str], source: str) -> Listing:
        """The listing without some pictures.

        Args:
            excluded: their paths, as `ListedPicture.path` has them or as paths of files.
            source: where they were listed, for the note.
        """
        known = {picture.path for picture in self.pictures}
        unwanted = {plain_path(path) for path in excluded}
        unknown = unwanted - known
        if unknown:  # written as another system, or this one, names the files?
            files = {_absolute(Path(picture.file)): picture.path for picture in self.pictures}
            found = {path: self._found(path, known, files) for path in unknown}
            unwanted |= {path for path in found.values() if path}
            unknown = {path for path in unknown if not found[path]}
        kept = replace(self, pictures=tuple(picture for picture in self.pictures if picture.path not in unwanted))
        notes = [f"{len(self.pictures) - len(kept.pictures):,} pictures left out by {source}."]
        if gone := set(self.class_names) - set(kept.class_names):
            notes.append(f"{source} leaves no picture of {_named(gone)}: no class of that name is learnt.")
        if unknown:
            notes.append(f"{source}: no picture of these data is called {_named(unknown)}.")
        return replace(kept, notes=(*self.notes, *notes))

    @staticmethod
    def _found(path: str, known: set[str], files: Mapping[str, str]) -> str | None:
        with_slashes = plain_path(path.replace("\\", "/"))
        return with_slashes if with_slashes in known else files.get(_absolute(Path(path)))

    def grouped_by(self, pattern: str) -> Listing:
        """The listing with groups read off the paths.

        Args:
            pattern: a regular expression, searched in each path; its first group, or all that it matches, names the
                picture's group.

        Raises:
            DataError: some paths don't match, or what names their group is empty, which would leave their pictures in
                no group.
        """
        compiled = re.compile(pattern)
        place = 1 if compiled.groups else 0
        groups = [match[place] if (match := compiled.search(p.path)) else None for p in self.pictures]
        without = [picture.path for picture, group in zip(self.pictures, groups, strict=True) if not group]
        if without:
            raise DataError(f"{self.root}: --group-regex {pattern!r} matches nothing in {_named(without)}.")
        pairs = zip(self.pictures, groups, strict=True)
        return replace(self, pictures=tuple(picture._replace(group=str(group)) for picture, group in pairs))

    def check(self) -> None:
        """Check that a classifier can learn from the pictures, as far as their names and classes say it.

        Raises:
            DataError: there is no picture, a class has none, there is a single class, a class has no name that can be
                printed, or two have names that could be taken for one another.
        """
        if self.empty_classes:
            more = f" ({len(self.empty_classes):,} such folders)" if len(self.empty_classes) > 1 else ""
            raise DataError(
                f"{self.root}: the class {self.empty_classes[0]!r} has no picture: its folder is empty, or nothing in "
                f"it has the name of a picture{more}. Add some, or remove the folder."
            )
        if not self.pictures:
            ignored = ", ".join(f"{count:,} {kind}" for kind, count in self.ignored.items())
            raise DataError(f"{self.root}: no picture is in it{f' (passed over: {ignored})' if ignored else ''}.")
        names = self.class_names
        for name in names:
            if not (name.strip() and name.isprintable()):
                raise DataError(
                    f"{self.root}: the class name {name!a} is empty or has characters that cannot be printed. Rename "
                    "the class."
                )
        alike: dict[str, str] = {}
        for name in names:
            other = alike.setdefault(unicodedata.normalize("NFKC", name).casefold().strip(), name)
            if other != name:
                raise DataError(
                    f"{self.root}: the classes {other!r} and {name!r} differ in {_difference(other, name)} alone. If "
                    "they are one, give them one name; if not, names that differ more."
                )
        if len(names) < 2:
            raise DataError(
                f"{self.root}: all pictures are of the class {names[0]!r}; a classifier needs at least two classes."
            )

    def with_plain_names(self) -> Listing:
        """The listing with class names in one Unicode form (NFC) and without spaces around them.

        Systems write the same letters in other forms: so the same pictures have the same classes wherever they lie.
        Call `check` before, so that no two classes become one.
        """
        plain = {name: unicodedata.normalize("NFC", name).strip() for name in self.class_names}
        if all(name == given for given, name in plain.items()):
            return self
        return replace(self, pictures=tuple(p._replace(class_name=plain[p.class_name]) for p in self.pictures))


def _difference(one: str, other: str) -> str:
    forms = [unicodedata.normalize("NFC", name) for name in (one, other)]
    if forms[0] == forms[1]:
        return "the form of their Unicode characters"
    if forms[0].strip() == forms[1].strip():
        return "spaces around them"
    return "case" if forms[0].casefold() == forms[1].casefold() else "the form of their characters"


def read_exclusions(path: Path) -> list[str]:
    """The paths that a file of exclusions lists, one a line; what begins with # is a comment.

    Raises:
        DataError: it cannot be read, or is no text in UTF-8.
    """
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")  # names of files need not be UTF-8
    except OSError as error:
        raise DataError(f"{path}: the list of exclusions cannot be read: {error.strerror or error}.") from error
    if "\0" in text:
        raise DataError(f"{path}: the list of exclusions is no text in UTF-8. Save it as UTF-8.")
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _absolute(path: Path) -> str:
    """The path from the root of the file system, without "..", links as they are."""
    return os.path.normpath(path.absolute())


def _named(paths: Iterable[str]) -> str:
    ordered = sorted(map(shown_path, paths))
    more = f" and {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
