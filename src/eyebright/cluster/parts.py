"""Predictions in a directory, part by part: each file is there whole or not at all, and what is missing is known.

predictions.json      what was asked, of how many pictures; written first
part-00000.jsonl …    one JSON object a picture, as `predict --json` has it, in the order given, so many pictures a part
results.json          written last: how many were answered
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from eyebright.errors import RunError, StorageError
from eyebright.prediction import PICTURES_AT_ONCE, Prediction
from eyebright.storage import json_bytes, sha256, write_file

# A few of the batches that `predict` computes at once, so that the answers are those that it gives, to the last bit.
PICTURES_IN_A_PART = 4 * PICTURES_AT_ONCE
_RECORD, _RESULTS = "predictions.json", "results.json"


class Tally(NamedTuple):
    """How many pictures were answered, could not be read, and are unlike the training images."""

    answered: int = 0
    failed: int = 0
    unlike: int = 0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Parts:
    """The predictions for some pictures, in a directory.

    Args:
        directory: where they are.
        pictures: paths, as they were given.
    """

    def __init__(self, directory: Path, pictures: Sequence[str]) -> None:
        self.directory = directory
        self._pictures = pictures

    @classmethod
    @contextlib.contextmanager
    def opened(cls, directory: Path, pictures: Sequence[str], asked: Mapping[str, Any]) -> Iterator[Self]:
        """Begin, or go on with what was begun by the same question; meanwhile nobody else can.

        Args:
            directory: that is made where it does not exist.
            pictures: paths, as they were given.
            asked: all else that the answers follow from, as JSON has it.

        Raises:
            RunError: something else was asked, another process is at work there, or other files lie there.
            StorageError: it cannot be written.
        """
        from filelock import FileLock, Timeout

        record = {
            **asked,
            "pictures": len(pictures),
            "pictures_sha256": sha256(b"\0".join(map(os.fsencode, pictures))),
            "pictures_in_a_part": PICTURES_IN_A_PART,
        }
        lock = FileLock(directory / ".lock", timeout=0)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            _begin(directory, record)
        except Timeout as error:
            raise RunError(f"{directory}: another process writes there. Wait for it, or stop it.") from error
        except OSError as error:
            raise StorageError(f"{directory}: cannot be written: {error.strerror or error}.") from error
        try:
            yield cls(directory, pictures)
        finally:
            lock.release()

    @property
    def count(self) -> int:
        """How many parts there are in all."""
        return -(-len(self._pictures) // PICTURES_IN_A_PART)

    def pictures(self, number: int) -> Sequence[str]:
        """The pictures of a part."""
        return self._pictures[number * PICTURES_IN_A_PART : (number + 1) * PICTURES_IN_A_PART]

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.directory / f"part-{number:05}.jsonl"

    def missing(self) -> list[int]:
        """The parts that are not there yet."""
        return [number for number in range(self.count) if not self.path(number).exists()]

    def tally(self, number: int) -> Tally:
        """What a part that is there has come to.

        Raises:
            StorageError: it is not of these pictures: it was damaged or changed.
        """
        path = self.path(number)
        try:
            answers = [json.loads(line) for line in path.read_bytes().splitlines()]
            whole = [answer["image"] for answer in answers] == list(self.pictures(number))
        except (ValueError, KeyError, TypeError):
            whole = False
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}.") from error
        if not whole:
            raise StorageError(
                f"{path}: damaged or changed: it has not one line for each of its pictures. Remove it, and the same "
                "command makes it again."
            )
        failed = sum("error" in answer for answer in answers)
        unlike = sum(answer.get("unlike_training", False) for answer in answers)
        return Tally(len(answers) - failed, failed, unlike)

    def finished(self) -> Tally | None:
        """What all came to, where nothing is missing any more and that was written down."""
        path = self.directory / _RESULTS
        if not path.exists() or self.missing():
            return None
        results = _read(path)
        try:
            return Tally(*(int(results[name]) for name in Tally._fields))
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{path}: damaged. Remove it, and the same command makes it again.") from error

    def finish(self, tally: Tally) -> None:
        """Write down what all came to."""
        write_file(self.directory / _RESULTS, json_bytes(tally._asdict()))


def write_part(path: Path, predictions: Iterable[Prediction]) -> Tally:
    """Write a part's file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    lines, tally = [], Tally()
    for prediction in predictions:
        lines.append(json.dumps(prediction.to_dict(), allow_nan=False))
        failed = prediction.error is not None
        tally = tally.plus(Tally(not failed, failed, prediction.unlike_training is True))
    write_file(path, "".join(f"{line}\n" for line in lines).encode())
    return tally


def _begin(directory: Path, record: dict[str, Any]) -> None:
    path = directory / _RECORD
    if not path.exists():
        others = sorted(one.name for one in directory.iterdir() if one.name != ".lock" and one.suffix != ".writing")
        if others:
            raise RunError(f"{directory}: other files lie there ({others[0]}). Give a new directory, or an empty one.")
        write_file(path, json_bytes(record))
    before = _read(path)
    # As JSON has it: a tuple that was written is a list.
    now = json.loads(json_bytes(record))
    other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if other:
        raise RunError(
            f"{directory}: predictions were begun there by another command: {', '.join(other)} differ(s). Give "
            "another directory, or the same command."
        )
    for temporary in directory.glob(".*.writing"):  # of processes that were killed
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise StorageError(f"{path}: damaged: {error}.") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path}: damaged: it is no JSON object.")
    return content
