"""Predictions for very many pictures, by all machines of a Ray cluster, in parts that are written as they are done."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from eyebright.classifier import Classifier
from eyebright.cluster.connection import connected, enter
from eyebright.cluster.parts import Parts, Tally, write_part
from eyebright.data.progress import shown
from eyebright.errors import EyebrightError
from eyebright.metrics.conformal import ConformalSets
from eyebright.paths import is_directory
from eyebright.prediction import predict_files
from eyebright.storage import json_bytes, sha256

_Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of each picture; the arguments of `predict_files`, and where the classifier is.

    Attributes:
        run: of `Classifier.load`.
        top: how many classes are named.
        min_confidence: the probability below which it abstains, or None.
        sets: the rule for sets of classes, or None.
        unlike_distance: past it a picture is unlike the training images, or None.
        skip_golden: whether workers do not compute an artefact's golden images.
    """

    run: Path
    top: int = 5
    min_confidence: float | None = None
    sets: ConformalSets | None = None
    unlike_distance: float | None = None
    skip_golden: bool = False

    def record(self, classifier: Classifier) -> dict[str, Any]:
        """All that answers follow from but the pictures, as JSON has it; wherever the classifier lies."""
        sets = self.sets
        return {
            "weights_sha256": classifier.weights_sha256,
            "calibration_sha256": sha256(json_bytes(classifier.calibration.to_dict())),
            "class_names": classifier.class_names,
            "top": self.top,
            "min_confidence": self.min_confidence,
            # As text: a quantile may be infinite, which JSON has no number for.
            "sets": sets and [sets.alpha, sets.method, sets.per_class, str(sets.quantiles.tolist())],
            "unlike_distance": self.unlike_distance,
        }


class Predictions(NamedTuple):
    """What came of a question.

    Attributes:
        tally: of all pictures.
        done: how many pictures were answered now; the others were there already.
    """

    tally: Tally
    done: int


def predict_in_parts(
    question: Question,
    pictures: Sequence[str],
    directory: Path,
    address: str,
    *,
    classifier: Classifier,
    console: Console | None = None,
) -> Predictions:
    """Ask a classifier about very many pictures, on a Ray cluster, and write the answers into a directory.

    Each part of 1,024 pictures is a file of JSON lines, which a worker writes once it is whole. The same call again
    makes the parts that are missing. Workers find pictures, classifier and directory by the paths that this process
    has. The answers are those of `predict_files`.

    Args:
        question: what is asked.
        pictures: paths.
        directory: as `Parts.opened` takes it.
        address: of the cluster; see `connected`.
        classifier: the one of `question.run`.
        console: where to say that a cluster is started, and to show progress; None says nothing.

    Raises:
        EyebrightError: the directory is of another question, the cluster does not answer, or a worker does not find
            what it needs; parts that were done stay.
    """
    with Parts.opened(directory, pictures, question.record(classifier)) as parts:
        if (tally := parts.finished()) is not None:
            return Predictions(tally, 0)
        tally, missing = Tally(), parts.missing()
        there = sorted({*range(parts.count)} - {*missing})
        for number in shown(there, "Parts that are there", len(there), lambda _: 1, progress=console is not None):
            tally = tally.plus(parts.tally(number))
        before = tally.answered + tally.failed
        if missing:
            with connected(address, console):
                done = _made(question, parts, missing)
                size = len(pictures) - before
                for one in shown(done, "Pictures", size, lambda one: one.answered + one.failed, progress=bool(console)):
                    tally = tally.plus(one)
        parts.finish(tally)
        return Predictions(tally, len(pictures) - before)


def _made(question: Question, parts: Parts, missing: Sequence[int]) -> Iterator[Tally]:
    """Have parts made by Ray Data; what each came to, in the order in which they are done."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    # Names of files are bytes, of any kind, which tables of texts would not take.
    rows = [{"number": number, "pictures": b"\0".join(map(os.fsencode, parts.pictures(number)))} for number in missing]
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = max(1, min(len(missing), int(resources.get("CPU", 1))))
    answers = from_items(rows, override_num_blocks=len(rows)).map(
        _Worker,  # type: ignore[arg-type]
        fn_constructor_args=(question, parts.directory, Path.cwd()),
        compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
        num_cpus=1,
    )
    for row in answers.iter_rows():
        if row["error"]:
            raise pickle.loads(row["error"])  # noqa: S301 - of our own worker
        yield Tally(row["answered"], row["failed"], row["unlike"])


class _Worker:
    """Makes parts, one after the other, by the classifier that it loads for the first.

    Args:
        question: what is asked.
        directory: where parts are written.
        where: the directory that all paths are relative to.
    """

    def __init__(self, question: Question, directory: Path, where: Path) -> None:
        self._question = question
        self._directory = directory
        self._where = where
        self._classifier: Classifier | None = None

    def __call__(self, row: _Row) -> _Row:
        """Make a part."""
        number = int(row["number"])
        pictures = [os.fsdecode(picture) for picture in bytes(row["pictures"]).split(b"\0")]
        error = b""
        try:
            tally = self._make(number, pictures)
        except EyebrightError as found:
            tally, error = Tally(), pickle.dumps(found)
        return {"number": number, **tally._asdict(), "error": error}

    def _make(self, number: int, pictures: list[str]) -> Tally:
        question = self._question
        if self._classifier is None:
            self._classifier = self._load()
        answers = predict_files(
            self._classifier,
            pictures,
            question.top,
            min_confidence=question.min_confidence,
            sets=question.sets,
            unlike_distance=question.unlike_distance,
        )
        return write_part(Parts(self._directory, ()).path(number), answers)

    def _load(self) -> Classifier:
        """The classifier, computed by one thread: each worker has a processor of its own.

        Raises:
            EyebrightError: it, or a directory, is not here.
        """
        enter(self._where, self._directory)
        if is_directory(self._question.run):
            from eyebright.backend import set_threads

            set_threads(1)
        return Classifier.load(self._question.run, skip_golden=self._question.skip_golden, threads=1)
