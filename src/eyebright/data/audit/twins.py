"""Images that are the same, or almost: what that means for labels and splits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.report import Finding
from eyebright.data.dataset import SPLIT_NAMES, Dataset, hash_keys

_NO_SPLIT = -1


def exact_twins(dataset: Dataset) -> list[list[int]]:
    """Images of the same pixels: groups of two and more indices, each ascending, in the order of their first images."""
    first: dict[bytes, list[int]] = {}
    for index, key in enumerate(hash_keys(dataset.image_hashes)):
        first.setdefault(key, []).append(index)
    return [group for group in first.values() if len(group) > 1]


def split_numbers(dataset: Dataset) -> NDArray[np.int64]:
    """int64 [N]: the split of each image, its place in `SPLIT_NAMES`, or -1 for none."""
    numbers = np.full(len(dataset), _NO_SPLIT)
    for name, indices in dataset.splits.items():
        numbers[indices] = SPLIT_NAMES.index(name)
    return numbers


def twin_findings(dataset: Dataset, groups: Iterable[list[int]], *, near: bool) -> list[Finding]:
    """What groups of twins mean: leakage between splits, conflicting labels, or else plain duplicates.

    Args:
        dataset: that they are of.
        groups: indices of the images of each.
        near: whether they are almost, and not exactly, the same.
    """
    splits, findings = split_numbers(dataset), []
    for group in groups:
        labels = {dataset.class_names[dataset.labels[index]] for index in group}
        names = {_split_name(splits[index]) for index in group}
        paths = tuple(dataset.path(index) for index in group)
        alike = f"{_named(paths)}: {'almost the same' if near else 'the same pixels'}"
        if len(names) > 1:
            findings.append(
                Finding("leakage", f"{alike}, in {_listed(names)}", paths, _all_but_tested(dataset, group, splits))
            )
        if len(labels) > 1:
            # Nobody knows which is right. A test image is left out by a person, not by this list.
            undecided = tuple(dataset.path(i) for i in group if splits[i] != SPLIT_NAMES.index("test"))
            findings.append(Finding("conflicting-labels", f"{alike}, labelled {_listed(labels)}", paths, undecided))
        if len(names) == len(labels) == 1:
            findings.append(Finding("near-duplicate" if near else "exact-duplicate", alike, paths, paths[1:]))
    return findings


def leakage_note(dataset: Dataset, findings: Iterable[Finding]) -> str | None:
    """By how much the test images' figures are worth less; None where no test image has a twin in another split."""
    if "test" not in dataset.splits:
        return None
    leaked = {image for finding in findings if finding.kind == "leakage" for image in finding.images}
    tested = {dataset.path(index) for index in dataset.splits["test"].tolist()}
    share = len(leaked & tested) / len(tested)
    if not share:
        return None
    if share == 1:
        return "Leakage: every test image has a twin in another split. A test accuracy says nothing of new images."
    # All twins right, as far as one can tell: of the accuracy a on all, (a − share) / (1 − share) on the others.
    honest = max(0.0, (0.9 - share) / (1 - share))
    return (
        f"Leakage: {len(leaked & tested):,} of {len(tested):,} test images ({share:.2%}) have a twin in another split. "
        f"If a classifier has all of these by heart, a test accuracy of 0.9000 is worth {honest:.4f} on new images."
    )


def _all_but_tested(dataset: Dataset, group: list[int], splits: NDArray[np.int64]) -> tuple[str, ...]:
    """Those of a group that stand in the least of its splits: the test images stay, so that figures can be compared."""
    kept = max(splits[index] for index in group)
    return tuple(dataset.path(index) for index in group if splits[index] != kept)


def _split_name(number: int) -> str:
    return SPLIT_NAMES[number] if number != _NO_SPLIT else "no split"


def _listed(names: Iterable[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}" if most else last


def _named(paths: tuple[str, ...]) -> str:
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4:,} more" if len(paths) > 4 else "")
