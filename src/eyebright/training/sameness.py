"""Whether two runs came to the same bits, and if not, where they first differ."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eyebright.errors import RunError, StorageError
from eyebright.run_directory import RunDirectory
from eyebright.storage import read_directory, sha256
from eyebright.training.checkpoint import KIND, VERSION, Checkpoints, checkpoint_name

_TIMES = ("images_per_second",)  # the columns of metrics.csv that are never the same


@dataclass(frozen=True)
class Sameness:
    """Two runs beside each other.

    Attributes:
        weights_sha256: of the classifiers that the first and the second saved.
        checkpoints: for each step of which both have an intact one, whether all variables are the same to the bit.
        damaged: a sentence for each checkpoint that was passed over.
        rows: how many rows of metrics.csv there are in both.
        differing_step: of the first row of metrics.csv that differs, or is in one alone; None where all are the same.
        differing_figures: what differs in it, in words.
    """

    weights_sha256: tuple[str, str]
    checkpoints: dict[int, bool]
    damaged: tuple[str, ...]
    rows: int
    differing_step: int | None
    differing_figures: str

    @property
    def identical(self) -> bool:
        """Whether weights, checkpoints and figures are the same to the bit."""
        same_weights = self.weights_sha256[0] == self.weights_sha256[1]
        return same_weights and all(self.checkpoints.values()) and self.differing_step is None

    @property
    def first_difference(self) -> str:
        """In words, where they first differ; "" where they don't."""
        found: list[tuple[int, str]] = []
        steps = [step for step, same in self.checkpoints.items() if not same]
        if steps:
            same = [step for step, same in self.checkpoints.items() if same and step < steps[0]]
            before = f", after the same variables at step {same[-1]:,}" if same else ""
            found.append((steps[0], f"the checkpoint of step {steps[0]:,} has other variables{before}"))
        if self.differing_step is not None:
            found.append(
                (self.differing_step, f"step {self.differing_step:,} of metrics.csv: {self.differing_figures}")
            )
        if not found and not self.identical:
            return "the saved weights, after checkpoints and figures that are the same"
        return "; ".join(words for _, words in sorted(found))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "identical": self.identical,
            "weights_sha256": list(self.weights_sha256),
            "checkpoints": [{"step": step, "identical": same} for step, same in self.checkpoints.items()],
            "damaged_checkpoints": list(self.damaged),
            "rows_compared": self.rows,
            "first_differing_row": None
            if self.differing_step is None
            else {"step": self.differing_step, "figures": self.differing_figures},
            "first_difference": self.first_difference or None,
        }


def compare_bits(first: RunDirectory, second: RunDirectory) -> Sameness:
    """Compare two finished runs.

    Raises:
        RunError: a metrics.csv is missing or damaged.
    """
    shas = tuple((run.results or {}).get("weights_sha256", "") for run in (first, second))
    digests, damaged = zip(*(_checkpoint_digests(run) for run in (first, second)), strict=True)
    both = sorted(digests[0].keys() & digests[1].keys())
    one, two = (_figures(run.path / "metrics.csv") for run in (first, second))
    step, figures = _first_differing(one, two)
    return Sameness(
        weights_sha256=(shas[0], shas[1]),
        checkpoints={step: digests[0][step] == digests[1][step] for step in both},
        damaged=(*damaged[0], *damaged[1]),
        rows=len(one.keys() & two.keys()),
        differing_step=step,
        differing_figures=figures,
    )


def _checkpoint_digests(run: RunDirectory) -> tuple[dict[int, str], list[str]]:
    """The SHA-256 of all variables of each intact checkpoint, by its step, and what is wrong with the others."""
    checkpoints = Checkpoints(run.path / "checkpoints", run.settings.keep_checkpoints)
    digests, damaged = {}, []
    for step in checkpoints.steps():
        try:
            parts = read_directory(checkpoints.directory / checkpoint_name(step), kind=KIND, version=VERSION)
            digests[step] = sha256(parts["variables.npz"])
        except StorageError as error:
            damaged.append(str(error))
    return digests, damaged


def _figures(path: Path) -> dict[tuple[int, bool], dict[str, str]]:
    """The rows of a metrics.csv by step and kind (a validation stands after its step's training), without times."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {
            (int(row["step"]), bool(row["validation_accuracy"])): {
                name: value for name, value in row.items() if name not in _TIMES
            }
            for row in rows
        }
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Restore it.") from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: damaged: {error}. Restore it.") from error


def _first_differing(
    one: dict[tuple[int, bool], dict[str, str]], two: dict[tuple[int, bool], dict[str, str]]
) -> tuple[int | None, str]:
    for key in sorted(one.keys() | two.keys()):
        if key not in one or key not in two:
            return key[0], f"there is such a row in {'the run' if key in one else 'the repetition'} alone"
        names = [name for name in one[key] if one[key][name] != two[key].get(name)]
        if names:
            return key[0], ", ".join(f"{n} {one[key][n]} in the run, {two[key].get(n)} now" for n in names)
    return None, ""
