"""What is in a shard: a tar file of WebDataset's form, the same bytes for the same pictures.

A picture numbered 17 is the members `000000017.jpg` (or what kind it is of), `000000017.cls` (its label, as text) and,
where there is something to say, `000000017.json` (its `path` in the data set, its `group`). The number is the picture's
place in the data set.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from eyebright.data.shards.index import Shard
from eyebright.errors import DataError

_LABEL, _BESIDE = "cls", "json"
_DIGITS = 9
NO_GROUP = -1


class Sample(NamedTuple):
    """A picture with what belongs to it.

    Attributes:
        place: of it in the data set, from 0.
        label: the number of its class.
        picture: the bytes of a picture file.
        suffix: of that file's name, without the dot.
        path: how the data set calls it; "" if it has no name.
        group: that it belongs to; `NO_GROUP` if to none.
    """

    place: int
    label: int
    picture: bytes | memoryview
    suffix: str
    path: str = ""
    group: int = NO_GROUP


def pack(samples: Iterable[Sample]) -> bytes:
    """The tar file of some pictures, in the order of their places."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in sorted(samples, key=lambda sample: sample.place):
            for suffix, content in _contents(sample):
                member = tarfile.TarInfo(f"{sample.place:0{_DIGITS}d}.{suffix}")  # of no owner and no time
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _contents(sample: Sample) -> list[tuple[str, bytes | memoryview]]:
    beside = {
        **({"path": sample.path} if sample.path else {}),
        **({"group": sample.group} if sample.group != NO_GROUP else {}),
    }
    more = [(_BESIDE, json.dumps(beside, sort_keys=True).encode())] if beside else []
    return [(_LABEL, str(sample.label).encode()), *more, (sample.suffix, sample.picture)]


def unpack(where: str, content: bytes, shard: Shard, classes: int) -> list[Sample]:
    """The pictures of a tar file, in the order of their places.

    Args:
        where: the file lies, for messages.
        content: of the file; the samples' pictures are views of it.
        shard: what the index says of it.
        classes: how many there are.

    Raises:
        DataError: it is not what the index says, though its hash is right: somebody else has written both.
    """
    parts: dict[str, dict[str, memoryview]] = {}
    try:
        for name, part in _members(content):
            key, _, suffix = name.partition(".")
            parts.setdefault(key, {})[suffix] = part
        samples = [_sample(key, members) for key, members in parts.items()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: this is no shard that Eyebright wrote: {error}. Write the shards again.") from error
    if len(samples) != shard.images:
        raise DataError(f"{where}: {len(samples):,} pictures, where the index says {shard.images:,}.")
    wrong = next((sample for sample in samples if not 0 <= sample.label < classes), None)
    if wrong is not None:
        raise DataError(
            f"{where}: the label of picture {wrong.place} is {wrong.label}; labels must lie in 0 … {classes - 1}."
        )
    return sorted(samples, key=lambda sample: sample.place)


def _members(content: bytes) -> Iterator[tuple[str, memoryview]]:
    """(name, content) of each member; by hand, as the module `tarfile` takes as long for one as its decoding does.

    What it does not know of tar files, `pack` does not write.
    """
    view, start = memoryview(content), 0
    while content[start]:  # what follows the last member is zeros
        header = content[start : start + tarfile.BLOCKSIZE]
        name, length, kind = header[:100].rstrip(b"\0").decode(), int(header[124:135], 8), header[156:157]
        start += tarfile.BLOCKSIZE
        if kind != tarfile.REGTYPE or start + length >= len(content):
            raise ValueError(f"the member {name!r} is no plain file, or has no end")
        yield name, view[start : start + length]
        start += -(-length // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _sample(key: str, members: dict[str, memoryview]) -> Sample:
    label, beside = int(bytes(members.pop(_LABEL))), json.loads(bytes(members.pop(_BESIDE, b"{}")))
    ((suffix, picture),) = members.items()
    path, group = beside.get("path", ""), beside.get("group", NO_GROUP)
    if not isinstance(path, str) or not isinstance(group, int):
        raise TypeError(f"{key}.{_BESIDE} has a path or a group that is none")
    return Sample(int(key), label, picture, suffix, path, group)
