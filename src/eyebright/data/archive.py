"""Taking named files out of a tar archive, and nothing else."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zlib
from pathlib import Path

from eyebright.errors import DownloadError
from eyebright.storage import sync

# The largest member that the catalogue names, CIFAR-100's training set, has 155 MB.
MAX_MEMBER_BYTES = 512 * 2**20


def extract_members(
    archive: Path, members: tuple[str, ...], target: Path, *, max_member_bytes: int = MAX_MEMBER_BYTES
) -> None:
    """Extract the named members of a tar archive, compressed or not, and nothing else.

    Their bytes are read and written by hand: tarfile's own filters can be led out of the target by links (in Python
    3.11.7, for example). A member that is not named is never written, whatever it is called.

    Args:
        archive: the archive.
        members: names of plain files in it.
        target: an existing directory; missing directories in it are made.
        max_member_bytes: the largest size of a member.

    Raises:
        DownloadError: a member is missing, no plain file or too large, or the archive is damaged.
        OSError: they cannot be written.
    """
    missing = set(members)
    try:
        with tarfile.open(archive) as tar:
            for info in tar:
                if info.name in missing:
                    _extract_one(tar, info, archive, target, max_member_bytes)
                    missing.remove(info.name)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise DownloadError(f"{archive.name}: damaged, it cannot be unpacked: {error}.") from error
    if missing:
        raise DownloadError(f"{archive.name}: it has no member {min(missing)!r}.")


def _extract_one(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path, target: Path, max_bytes: int) -> None:
    if not info.isreg() or info.issparse():
        raise DownloadError(f"{archive.name}: the member {info.name!r} is no plain file; it is refused.")
    if info.size > max_bytes:
        raise DownloadError(
            f"{archive.name}: the member {info.name!r} has {info.size:,} bytes; at most {max_bytes:,} are accepted."
        )
    content = tar.extractfile(info)
    if content is None:
        raise DownloadError(f"{archive.name}: the member {info.name!r} cannot be read.")
    path = target / info.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    sync(path)
