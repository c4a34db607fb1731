"""Images that are almost the same: another crop, brightness or compression of a picture, or its mirror image.

All pairs are compared by short vectors (`embedding.py`), which is one matrix product in blocks; the pairs that come
near are compared pixel by pixel (`agreement.py`).

CIFAR-10's and CIFAR-100's twins between training and test images were first listed in Barz and Denzler, "Do we train on
test data? Purging CIFAR of near-duplicates" (Journal of Imaging 6(6), 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.agreement import LEAST_SIDE, agreement, screened_agreement, small_grey
from eyebright.data.audit.embedding import Embeddings, embed, images_at_once
from eyebright.data.audit.twins import split_numbers
from eyebright.data.dataset import Dataset, hash_keys
from eyebright.data.progress import shown

_SIMILAR = 0.55  # of vectors: the least similar of ten pairs of true twins of CIFAR-10 has 0.58
_FEW = 3000  # images: of so few, there is time to compare less similar ones closely
_SIMILAR_OF_FEW = 0.2
_SCREENED = 0.42  # likewise 0.50
_AGREEING = 0.85  # likewise 0.86; of pairs between 0.85 and 0.90, nearly all are twins when looked at
_MOST_AGREEING = 0.99  # copies agree so well; what is asked for is never more
_MOST = 200_000  # images that are compared with one another: some minutes
_MOST_PAIRS = 1_000_000  # of similar vectors
_ROWS = 4096  # of a block of similarities: 64 MB
_AT_ONCE = 512  # pairs of small images, or of others at most
_NO_SCORES = np.empty(0, np.float32)
_TYPICAL = 1000  # pairs of a class, by which it is known how alike its images are


class NearTwins(NamedTuple):
    """What was found: groups of indices, each ascending, and what the user should know, in whole sentences."""

    groups: list[list[int]]
    notes: list[str]


def find_near_twins(dataset: Dataset, *, progress: bool = False) -> NearTwins:
    """Find images that are almost the same. Those that are exactly the same count as one.

    Args:
        dataset: where to look. Of more than 200,000 images the test and validation images are compared, and as many of
            the others, evenly spread, as come to that number.
        progress: whether to show progress bars on standard error.
    """
    height, width, _ = dataset.image_shape
    if min(height, width) < LEAST_SIDE:
        return NearTwins([], [f"Near duplicates were not looked for: images of {width} × {height} show too little."])
    chosen, notes = _compared_images(dataset)
    if len(chosen) < 2:
        return NearTwins([], notes)
    pairs = _similar_pairs(embed(dataset.images, chosen), progress=progress)
    if len(pairs) == _MOST_PAIRS:
        notes.append(f"Many images are alike: only the {_MOST_PAIRS:,} most similar pairs were compared closely.")
    keys = hash_keys(dataset.image_hashes)
    pairs = pairs[[keys[chosen[one]] != keys[chosen[other]] for one, other, _ in pairs.tolist()]]
    small = np.concatenate(
        [small_grey(dataset.images[part]) for part in _parts(chosen, images_at_once(dataset.images))]
    )
    pairs = _screened_pairs(small, pairs, progress=progress)
    pairs[:, :2] = chosen[pairs[:, :2]]  # from here on, places among all images
    agreeing = _agreements(dataset.images, pairs, progress=progress) >= _least_agreement(dataset, chosen)
    return NearTwins(_groups(pairs[agreeing, :2]), notes)


def _compared_images(dataset: Dataset) -> tuple[NDArray[np.int64], list[str]]:
    """The images to compare, int64 [n], ascending: of those with the same pixels and the same split one."""
    splits = split_numbers(dataset)
    first = dict[tuple[bytes, int], int]()
    for index, key in enumerate(zip(hash_keys(dataset.image_hashes), splits.tolist(), strict=True)):
        first.setdefault(key, index)
    distinct = np.array(list(first.values()))
    if len(distinct) <= _MOST:
        return distinct, []
    is_training = splits[distinct] <= 0
    looked_at, others = distinct[~is_training][:_MOST], distinct[is_training]
    spread = others[np.linspace(0, len(others) - 1, _MOST - len(looked_at)).astype(np.int64)]
    left_out = len(distinct) - _MOST
    note = f"Near duplicates were looked for among {_MOST:,} images, evenly chosen; {left_out:,} were left out."
    return np.sort(np.concatenate([looked_at, spread])), [note]


def _similar_pairs(embeddings: Embeddings, *, progress: bool) -> NDArray[np.int64]:
    """Int64 [pairs, 3]: places of two images whose vectors are similar, and whether the second one is mirrored."""
    images = len(embeddings.plain)
    least = _SIMILAR_OF_FEW if images <= _FEW else _SIMILAR
    pairs, similarities = np.empty((0, 3), np.int64), np.empty(0, np.float32)
    sides = -(-images // _ROWS)
    total = sides * (sides + 1) // 2 * (1 if embeddings.mirrored is None else 2)
    blocks = shown(_blocks(embeddings), "Comparing all pairs", total, lambda _: 1, progress=progress)
    for row, column, mirrored, block in blocks:
        one, other = np.nonzero(block > least)
        upper = one + row < other + column
        one, other = one[upper], other[upper]
        new = np.stack([one + row, other + column, np.full(len(one), mirrored)], axis=1)
        pairs, similarities = np.concatenate([pairs, new]), np.concatenate([similarities, block[one, other]])
        if len(pairs) > _MOST_PAIRS:
            best = np.argpartition(-similarities, _MOST_PAIRS)[:_MOST_PAIRS]
            pairs, similarities = pairs[best], similarities[best]
            least = float(similarities.min())
    return pairs


def _blocks(embeddings: Embeddings) -> Iterator[tuple[int, int, int, NDArray[np.float32]]]:
    """Similarities of images with images and mirror images, in blocks: their first row and column, and which."""
    images = len(embeddings.plain)
    for row in range(0, images, _ROWS):
        for column in range(row, images, _ROWS):
            for mirrored, vectors in enumerate(embeddings):
                if vectors is not None:
                    yield (
                        row,
                        column,
                        mirrored,
                        embeddings.plain[row : row + _ROWS] @ vectors[column : column + _ROWS].T,
                    )


def _screened_pairs(small: NDArray[np.float32], pairs: NDArray[np.int64], *, progress: bool) -> NDArray[np.int64]:
    """Those pairs that agree roughly as small grey images [n, 16, 16, 1]."""
    parts = shown(_parts(pairs, _AT_ONCE), "Comparing similar pairs", len(pairs), len, progress=progress)
    scores = [screened_agreement(small[part[:, 0]], _turned(small[part[:, 1]], part)) for part in parts]
    return pairs[np.concatenate([_NO_SCORES, *scores]) > _SCREENED]


def _agreements(images: NDArray[np.uint8], pairs: NDArray[np.int64], *, progress: bool) -> NDArray[np.float32]:
    """Float32 [pairs], how far they agree."""
    at_once = min(_AT_ONCE, images_at_once(images))
    parts = shown(_parts(pairs, at_once), "Comparing closely", len(pairs), len, progress=progress)
    scores = [agreement(images[part[:, 0]], _turned(images[part[:, 1]], part)) for part in parts]
    return np.concatenate([_NO_SCORES, *scores])


def _least_agreement(dataset: Dataset, chosen: NDArray[np.int64]) -> float:
    """What twins must agree by: more than the images of one class do by chance.

    Photographs hardly agree, but strokes on a plain ground do: many an honest handwritten 1 is almost another one. The
    agreement of some pairs of a class says what is usual (median and median deviation of its Fisher transform), and of
    all the pairs that are compared not one should come beyond the limit if they were distributed normally.
    """
    labels = dataset.labels[chosen]
    in_order = chosen[np.argsort(labels, kind="stable")]
    half = len(in_order) // (2 * len(dataset.class_names)) or 1  # half a class further: not the next frame of a film
    partners = np.roll(in_order, -half)
    of_one_class = dataset.labels[in_order] == dataset.labels[partners]
    ones, others = in_order[of_one_class], partners[of_one_class]
    some = np.unique(np.linspace(0, len(ones) - 1, min(len(ones), _TYPICAL)).astype(np.int64))
    pairs = np.stack([ones[some], others[some], np.zeros_like(some)], axis=1)
    if len(pairs) < 2:
        return _AGREEING
    typical = np.arctanh(np.minimum(_agreements(dataset.images, pairs, progress=False), _MOST_AGREEING))
    median = float(np.median(typical))
    deviation = 1.4826 * float(np.median(np.abs(typical - median)))  # of a normal distribution the standard deviation
    beyond = NormalDist().inv_cdf(1 - 1 / len(chosen) ** 2)
    return float(np.clip(np.tanh(median + beyond * deviation), _AGREEING, _MOST_AGREEING))


def _groups(pairs: NDArray[np.int64]) -> list[list[int]]:
    """Pairs [n, 2] of images as groups, each of one image and others that are its twins; every pair is in one.

    Twins of twins are no group: of images that differ a little from one to the next, all would be in it.
    """
    twins: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        twins.setdefault(one, set()).add(other)
        twins.setdefault(other, set()).add(one)
    groups = []
    # The image with the most twins first, of equal ones the first; what pairs it leaves come after it.
    for image in sorted(twins, key=lambda image: (-len(twins[image]), image)):
        if others := twins[image]:
            members = {image, *others}
            groups.append(sorted(members))
            for member in members:
                twins[member] -= members
    return sorted(groups)


def _turned(images: NDArray[Any], pairs: NDArray[np.int64]) -> NDArray[Any]:
    """Images [n, H, W, C], mirrored where their pair says so."""
    return np.where(pairs[:, 2, None, None, None] == 1, images[:, :, ::-1], images)


def _parts(array: NDArray[np.int64], at_once: int) -> Iterator[NDArray[np.int64]]:
    return (array[start : start + at_once] for start in range(0, len(array), at_once))
