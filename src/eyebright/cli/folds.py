"""What `eyebright train --folds` checks and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eyebright.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.cross_validation import CrossValidation
    from eyebright.several_seeds import SeveralSeeds
    from eyebright.training.trainer import Run


def check_folds(folds: int | None, flags: Mapping[str, Any], seeds: int | None = None) -> None:
    """Refuse a number of folds or seeds that is none, and flags that mean nothing beside folds.

    Raises:
        SettingsError: either of them.
    """
    if seeds is not None and seeds < 2:
        raise SettingsError(f"--seeds {seeds}: what varies with the seed shows with at least 2 seeds.")
    if folds is None:
        return
    if seeds is not None:
        raise SettingsError(f"--seeds {seeds}: excludes --folds {folds}: train with one of the two.")
    if folds < 2:
        raise SettingsError(f"--folds {folds}: cross-validation needs at least 2 folds.")
    if flags.get("test_fraction") is not None:
        raise SettingsError(
            f"--test-fraction {flags['test_fraction']}: has no meaning beside --folds: each fold is the test set of "
            "its run."
        )


def summarise_folds(result: Run | CrossValidation | SeveralSeeds, console: Console | None) -> None:
    """Print the figures of a cross-validation, and what to do next."""
    from eyebright.suggestions import command
    from eyebright.training.progress import say

    results = result.results
    low, high = results["accuracy_ci95"]
    say(
        console,
        f"Accuracy {results['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on {results['n']:,} images, each "
        "tested by the classifier that did not learn from it",
    )
    say(
        console,
        f"Over the folds: mean {results['fold_accuracy_mean']:.4f}, standard deviation "
        f"{results['fold_accuracy_std']:.4f}",
    )
    say(
        console,
        f"Total time {results['total_seconds']:.2f} s, of which training {results['train_seconds']:.2f} s",
    )
    say(console, f"The cross-validation is in {result.path}. To train a classifier with these settings:")
    say(console, f"  {command('train', '--config', result.path / 'settings.toml')}")
