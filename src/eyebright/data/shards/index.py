"""`index.json`: what a set of shards is made of, so that one that is missing, cut or from another set is noticed."""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright.data.dataset import SPLIT_NAMES
from eyebright.data.places import FileMissingError, Place
from eyebright.errors import DataError
from eyebright.picture_options import Fit
from eyebright.storage import json_bytes, sha256

FILE = "index.json"
Split = Literal["train", "validation", "test", ""]
KIND: Final = "eyebright-shards"
_VERSION: Final = 1
_OWN_HASH = "index_sha256"
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Shard(_Part):
    """One tar file.

    Attributes:
        name: of the file.
        split: train, validation or test; "" for images that came in none.
        images: how many.
        bytes: of the file.
        sha256: of the file.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.tar$")]
    split: Split
    images: _Count
    bytes: _Count
    sha256: _Hash


class ShardIndex(_Part):
    """A set of shards.

    Attributes:
        kind: says that it is one.
        version: of this form.
        name: of the data set.
        class_names: in the order of the labels.
        image_shape: (height, width, channels) that its pictures are brought to.
        fit: how they are, where their proportions differ.
        max_pixels: a picture of more is refused.
        fingerprint: of the data set that it was made of.
        shards: in the order of their names.
    """

    kind: Literal["eyebright-shards"] = KIND
    version: Literal[1] = _VERSION
    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[_Count, _Count, Annotated[int, Field(ge=1, le=3)]]
    fit: Fit
    max_pixels: _Count
    fingerprint: _Hash
    shards: Annotated[tuple[Shard, ...], Field(min_length=1)]

    @property
    def images(self) -> int:
        """How many there are in all."""
        return sum(shard.images for shard in self.shards)

    @property
    def splits(self) -> dict[str, int]:
        """How many images each split has; "" stands for those of none."""
        names = [name for name in (*SPLIT_NAMES, "") if any(shard.split == name for shard in self.shards)]
        return {name: sum(shard.images for shard in self.of_split(name)) for name in names}

    def of_split(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split, in their order."""
        return tuple(shard for shard in self.shards if shard.split == split)

    @property
    def sha256(self) -> str:
        """Of all that it says, the shards' own hashes among it: what is equal in it is equal in every bit."""
        return sha256(self._content())

    def to_bytes(self) -> bytes:
        """The file."""
        return json_bytes({**self.model_dump(mode="json"), _OWN_HASH: self.sha256})

    def _content(self) -> bytes:
        return json_bytes(self.model_dump(mode="json"))


def read_index(place: Place) -> ShardIndex:
    """The index of the shards at a place, verified.

    Raises:
        DataError: it is missing or damaged, or what it says cannot be.
    """
    where = place.where(FILE)
    try:
        content = place.read(FILE)
    except FileMissingError as error:
        raise DataError(
            f"{where}: missing. Shards have it beside them; where it is not, their writing was broken off. Write them "
            "again, or copy all files."
        ) from error
    try:
        described = json.loads(content)
        own_hash, kind, version = described.pop(_OWN_HASH), described["kind"], described["version"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: damaged, or no index of shards. Copy it anew, or write the shards again.") from error
    if kind != KIND:
        raise DataError(f"{where}: this is of kind {kind!r}, not {KIND!r}.")
    if isinstance(version, int) and version > _VERSION:
        raise DataError(f"{where}: format version {version} is newer than this Eyebright reads. Upgrade Eyebright.")
    if sha256(json_bytes(described)) != own_hash:
        raise DataError(f"{where}: damaged (it does not match its own SHA-256). Copy it anew.")
    try:
        return ShardIndex.model_validate_json(json.dumps(described))
    except ValidationError as error:  # it matches its own SHA-256, and was written by another
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {field}: {first['msg']}. Write the shards again.") from error


def verified_shard(place: Place, shard: Shard) -> bytes:
    """The content of a shard, which is the one that the index names.

    Raises:
        DataError: it is missing, cut, damaged or from another set. The message names it.
    """
    where = place.where(shard.name)
    try:
        content = place.read(shard.name)
    except FileMissingError as error:
        raise DataError(f"{where}: missing, though {FILE} names it. Copy it anew.") from error
    if len(content) < shard.bytes:
        raise DataError(
            f"{where}: cut, or from another set ({len(content):,} bytes where {FILE} says {shard.bytes:,}). Copy it "
            "anew."
        )
    if len(content) != shard.bytes or sha256(content) != shard.sha256:
        raise DataError(f"{where}: damaged, or from another set (its SHA-256 is not the one in {FILE}). Copy it anew.")
    return content
