"""What takes part in a comparison: runs, cross-validations, trainings of several seeds, with what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eyebright.errors import RunError
from eyebright.kept_predictions import Predictions
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import is_run, member_paths
from eyebright.suggestions import command


@dataclass(frozen=True)
class Contestant:
    """A run, a cross-validation, or the same training with several seeds.

    Attributes:
        name: for people.
        trainings: what each answered, by its seed; one, by 0, where it was not trained with several.
        of_seeds: whether it was.
        test_looks: how often its models met the test images, the most of any training.
    """

    name: str
    trainings: dict[int, Predictions]
    of_seeds: bool
    test_looks: int

    @classmethod
    def read(cls, path: Path, name: str) -> Contestant:
        """From its directory.

        Raises:
            RunError: it is none, not finished, or without intact predictions.
        """
        members = member_paths(path)
        if members and is_run(path) and RunDirectory.open_any(path).results is None:
            go_on = command("train", "--resume", path)
            raise RunError(f"{path}: not all of its runs are finished. Go on with it: {go_on}")
        runs = [RunDirectory.open(one) for one in members.get("seeds", members.get("folds", []))]
        runs = runs or [RunDirectory.open_any(path)]
        looks = max(run.test_looks for run in runs)
        answers = [replace(Predictions.of(run), name=str(run.path)) for run in runs]
        if "seeds" in members:
            trainings = {run.settings.seed: one for run, one in zip(runs, answers, strict=True)}
            if len(trainings) < len(runs):
                raise RunError(f"{path}: two of its runs have the same seed, which tells nothing apart. Remove one.")
        else:
            trainings = {0: Predictions.joined(str(path), answers)}
        return cls(name, trainings, "seeds" in members, looks)

    def like(self, first: Predictions) -> Contestant:
        """The same, its images and classes in the order of another's."""
        return replace(self, trainings={seed: one.like(first) for seed, one in self.trainings.items()})


def read_contestants(paths: Sequence[Path]) -> list[Contestant]:
    """Read runs that are to be compared, and bring their answers to one order of images and classes.

    Args:
        paths: directories of runs, cross-validations or trainings with several seeds, at least two.

    Raises:
        RunError: one is none, or not finished; or they were tested on other images, or on other classes.
    """
    contestants = [Contestant.read(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    first = contestants[0]
    for other in contestants[1:]:
        if other.of_seeds != first.of_seeds:
            several, single = (other, first) if other.of_seeds else (first, other)
            raise RunError(
                f"{several.name} was trained with {len(several.trainings)} seeds, {single.name} is one run. Give a "
                f"training of several seeds in its place (train --seeds), or one of the runs in {several.name}."
            )
    order = next(iter(first.trainings.values()))
    return [one.like(order) for one in contestants]


def _names(paths: Sequence[Path]) -> list[str]:
    """The directories' own names where these differ, otherwise their paths as given.

    >>> _names([Path("runs/a"), Path("runs/b")]), _names([Path("a/seed-0"), Path("b/seed-0")])
    (['a', 'b'], ['a/seed-0', 'b/seed-0'])
    """
    short = [path.absolute().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]
