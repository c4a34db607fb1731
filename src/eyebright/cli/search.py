"""What `eyebright tune` says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.tuning.tune import Search


def summarise_search(search: Search, console: Console | None) -> None:
    """Print what was found, what the test said, and what to do next."""
    from eyebright.suggestions import command
    from eyebright.training.progress import say

    results = search.results
    best, first, counts = results["best"], results["first"], results["trials"]
    of = ", ".join(
        f"{counts[state]} {state}" for state in ("finished", "pruned", "failed", "unfinished") if counts[state]
    )
    say(console, f"{counts['all']} trials ({of}) in {results['seconds'] / 60:.1f} minutes")
    _say_front(results, console)
    say(console, f"Best: trial {best['trial']}, {_figure(best)} on {results['validation_images']:,} validation images")
    for name, value in best["values"].items():
        say(console, f"  {name} = {value}")
    if first["validation_accuracy"] is not None and first["trial"] != best["trial"]:
        say(console, f"Trial 0, as it was before the search: {_figure(first)}")
    if results["importances"]:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in results["importances"].items())
        say(console, f"What mattered, of 1 in all: {shares}")
    else:
        say(console, "There are too few trials to say which settings mattered.")
    if search.run is not None:
        _say_test(search, console)
    say(console, f"The search is in {search.path}. What to do next:")
    say(console, f"  {command('train', '--config', search.path / 'best.toml')}")
    if search.run is not None:
        say(console, f"  {command('predict', search.run.path)} PICTURE…")


def _figure(trial: Mapping[str, Any]) -> str:
    low, high = trial["validation_accuracy_ci95"]
    return f"validation accuracy {trial['validation_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f})"


def _say_front(results: Mapping[str, Any], console: Console | None) -> None:
    from eyebright.training.progress import say

    if results["front"] is None:
        return
    say(console, "No other trial is better in both than one of these:")
    for one in results["front"]:
        say(
            console,
            f"  Trial {one['trial']}: validation accuracy {one['validation_accuracy']:.4f}, training "
            f"{one['train_seconds']:.1f} s, {one['parameters']:,} parameters",
        )


def _say_test(search: Search, console: Console | None) -> None:
    """The one look at the test images, and what to make of it."""
    from eyebright.ledger import LooksOfData
    from eyebright.training.progress import say

    tested, optimism = search.run.results if search.run else {}, search.results["optimism"]
    low, high = tested["test_accuracy_ci95"]
    say(
        console,
        f"Trained once more with these settings, and tested once: accuracy {tested['test_accuracy']:.4f} (95% interval "
        f"{low:.4f} to {high:.4f}) on {tested['test_images']:,} test images",
    )
    better, trials = "more" if optimism >= 0 else "less", search.results["trials"]["all"]
    chosen = f"by which it was chosen among {trials}, " if trials > 1 else ""
    say(
        console,
        f"Optimism: on the validation images, {chosen}it had {abs(optimism):.4f} {better}. The test's is the figure to "
        "quote.",
    )
    looks = LooksOfData(tested.get("test_looks_of_data"), tested.get("runs_that_looked"))
    if looks.sentence:
        say(console, looks.sentence)
