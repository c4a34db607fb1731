"""Which images a network has learnt from, kept in its run, so that none of them ever tests another one unnoticed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.data.dataset import Dataset, hash_prefixes
from eyebright.data.split import Split
from eyebright.errors import SettingsError, StorageError
from eyebright.training.progress import say

FILE = "learnt_images.npz"
_TOLERATED = 0.01  # of the test images; so much is said, as other data may hold a picture or two of these


def _none() -> NDArray[np.uint64]:
    return np.empty(0, np.uint64)


@dataclass(frozen=True)
class LearntImages:
    """The images that a network has learnt from, and what its backbone and its teacher had learnt from before.

    Attributes:
        training: uint64 [n], keys (see `image_keys`) of training images, ascending.
        validation: uint64 [m], of those that it was chosen by.
        sources: where the data lay.
        complete: whether that is all; not where a part of it came from a file or a classifier without its run.
    """

    training: NDArray[np.uint64] = field(default_factory=_none)
    validation: NDArray[np.uint64] = field(default_factory=_none)
    sources: tuple[str, ...] = ()
    complete: bool = True

    @classmethod
    def of(cls, dataset: Dataset, keys: NDArray[np.uint64], split: Split) -> Self:
        """Those of a run on these data, whose images have these keys."""
        sources = (dataset.source,) if dataset.source else ()
        return cls(np.unique(keys[split.train]), np.unique(keys[split.validation]), sources)

    @classmethod
    def of_classifier(cls, path: str) -> Self:
        """Those of a run or its `model/`; of anything else, none and not complete.

        Raises:
            StorageError: the run's record is damaged.
        """
        whole = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111, these two never raise
        record = next((p for p in (Path(whole) / FILE, Path(whole).parent / FILE) if os.path.lexists(p)), None)
        return cls(complete=False) if record is None else cls.read(record)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `to_bytes` gave.

        Raises:
            StorageError: it is missing or damaged.
        """
        try:
            arrays = npz_to_arrays(path.read_bytes())
            sources = tuple(arrays["sources"].tolist())
            return cls(arrays["training"], arrays["validation"], sources, bool(arrays["complete"]))
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(
                f"{path}: missing or damaged, so that it is not known what this run learnt from: {error}. "
                "Give another run, or train it anew."
            ) from error

    def to_bytes(self) -> bytes:
        """As the bytes of an .npz file."""
        return arrays_to_npz(
            {
                "training": self.training,
                "validation": self.validation,
                "sources": np.array(self.sources, np.str_),
                "complete": np.array(self.complete),
            }
        )

    def __or__(self, other: Self) -> Self:
        return type(self)(
            np.union1d(self.training, other.training),
            np.union1d(self.validation, other.validation),
            tuple(sorted({*self.sources, *other.sources})),
            self.complete and other.complete,
        )


def image_keys(dataset: Dataset) -> NDArray[np.uint64]:
    """uint64 [N]: the first 8 bytes of the SHA-256 of each image's pixels; no split plays a part."""
    return hash_prefixes(dataset.image_hashes)


def refuse_leaks(
    what: str,
    learnt: LearntImages,
    dataset: Dataset,
    keys: NDArray[np.uint64],
    splits: Sequence[Split],
    console: Console | None,
) -> None:
    """Refuse to begin with a network that has learnt from images that are to test what comes of it.

    Images that are for training here as well are no matter: it is as if the run had learnt from them for longer.

    Args:
        what: the network, as messages name it.
        learnt: what it has learnt from.
        dataset: of the run.
        keys: of its images.
        splits: of the run, or of all the runs of a cross-validation.
        console: where to say what is only suspected, or does little harm.

    Raises:
        SettingsError: it has seen more than a hundredth of the test images.
    """
    seen = np.union1d(learnt.training, learnt.validation)
    tested = sum(len(split.test) for split in splits)
    spoilt = sum(_seen(keys[s.test], seen, keys[np.concatenate([s.train, s.validation])]) for s in splits)
    if spoilt > _TOLERATED * tested:
        raise SettingsError(
            f"{what}: it was trained on these data, on {spoilt:,} of the {tested:,} test images among them; "
            "the accuracy would be too good. Leave it out, give one that has not seen them, or divide the data "
            "as its run did."
        )
    if spoilt:
        say(console, f"{what}: it was trained on {spoilt:,} of the {tested:,} test images, too few to matter.")
    validated = sum(_seen(keys[s.validation], learnt.training, keys[s.train]) for s in splits)
    if validated:
        number = sum(len(split.validation) for split in splits)
        say(
            console,
            f"{what}: it was trained on {validated:,} of the {number:,} validation images; accuracies on them will be "
            "too good.",
        )
    read_otherwise = dataset.source in learnt.sources and not np.isin(keys, seen).any()
    if read_otherwise or not learnt.complete:
        say(
            console,
            f"{what}: if it has seen images of these data, accuracies will be too good; that is not known.",
        )


def _seen(keys: NDArray[np.uint64], learnt: NDArray[np.uint64], own: NDArray[np.uint64]) -> int:
    """How many images were learnt from there and are not learnt from here."""
    return int((np.isin(keys, learnt) & ~np.isin(keys, own)).sum())
