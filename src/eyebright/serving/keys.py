"""API keys: their hashes in a file, and how often each may ask.

A key is 32 random bytes, so that a plain SHA-256 of it keeps it: there is nothing to guess. The file has a line a key,
`NAME SHA256`; lines that begin with # are comments.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from pathlib import Path

from eyebright.errors import SettingsError, StorageError

_LINE = re.compile(r"(\S+)\s+([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_OWNER_ALONE = 0o600
_PREFIX = "eyebright_"  # so that one that was published by mistake is found for what it is


class Keys:
    """The keys of a file.

    Args:
        path: of the file.

    Raises:
        SettingsError: it cannot be read, or is no such file, or has no key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hashes: dict[str, bytes] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file anew; what was known before stays known where that fails.

        Raises:
            SettingsError: as above.
        """
        hashes = _read(self.path)
        if not hashes:
            raise SettingsError(f"--keys {self.path}: there is no key in it. Make one: eyebright key {self.path} NAME")
        self._hashes = hashes

    def name_of(self, key: str | None) -> str | None:
        """The name of a key, or None for one that is not known.

        All hashes are compared, each in constant time: how long it takes says nothing of which one fits.
        """
        digest = hashlib.sha256((key or "").encode("utf-8", "surrogateescape")).digest()
        found = [name for name, known in self._hashes.items() if hmac.compare_digest(digest, known)]
        return found[0] if key and found else None


class RateLimit:
    """How often each key may ask: a bucket that fills evenly, and that a request takes one from.

    Args:
        a_minute: requests, at least 1; as many may come at once.
    """

    def __init__(self, a_minute: float) -> None:
        self._a_second = a_minute / 60
        self._most = max(1.0, a_minute)
        self._buckets: dict[str, tuple[float, float]] = {}  # what was in it, and when

    def wait(self, name: str) -> float:
        """Take one, and return 0; or the seconds after which there will be one."""
        now = time.monotonic()
        held, since = self._buckets.get(name, (self._most, now))
        held = min(self._most, held + (now - since) * self._a_second)
        if held < 1:
            self._buckets[name] = held, now
            return (1 - held) / self._a_second
        self._buckets[name] = held - 1, now
        return 0.0


def new_key(path: Path, name: str) -> str:
    """Make a key and add its hash to a file, which is made where there is none, for its owner's eyes only.

    Returns:
        The key. It stands nowhere else.

    Raises:
        SettingsError: the name is taken or has odd characters, or the file is there and is no file of keys.
        StorageError: the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r}: a key's name has up to 64 letters, digits and . _ @ - of ASCII.")
    if path.is_dir():
        raise SettingsError(f"{path}: a directory. Name a file in it.")
    existing = path.read_bytes() if path.exists() else b""
    if existing and name in _read(path):
        raise SettingsError(
            f"{path}: there is a key of the name {name} already. Remove its line first, or take another."
        )
    key = _PREFIX + secrets.token_urlsafe(32)
    ending = b"" if not existing or existing.endswith(b"\n") else b"\n"
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n".encode()
    _append(path, ending + line)
    return key


def _append(path: Path, line: bytes) -> None:
    """Put a line at a file's end in one write, so that others who add one at the same moment lose nothing."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ALONE)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            path.chmod(_OWNER_ALONE)
            file.write(line)
            os.fsync(descriptor)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SettingsError(f"--keys {path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingsError(f"--keys {path}, line {number}: not a name and a SHA-256 (64 hexadecimal digits).")
        if match[1] in hashes:
            raise SettingsError(f"--keys {path}, line {number}: a second key of the name {match[1]}.")
        hashes[match[1]] = bytes.fromhex(match[2])
    return hashes
