"""What `eyebright train --seeds` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.cross_validation import CrossValidation
    from eyebright.several_seeds import SeveralSeeds
    from eyebright.training.trainer import Run


def summarise_seeds(result: Run | CrossValidation | SeveralSeeds, console: Console | None) -> None:
    """Print the figures of runs of several seeds, which question each answers, and what to do next."""
    from eyebright.ledger import LooksOfData
    from eyebright.suggestions import command
    from eyebright.training.progress import say

    results: dict[str, Any] = result.results
    mean, another = results["test_accuracy_mean_ci95"], results["another_seed_pi95"]
    intervals = (
        f" (95% interval of the mean {_words(mean)}); another training would give {_words(another)} on these images"
        if mean
        else "; all runs are equally good, which does not tell how another training would vary"
    )
    say(
        console,
        f"Over the seeds: mean accuracy {results['test_accuracy_mean']:.4f}, standard deviation "
        f"{results['test_accuracy_std']:.4f}{intervals}",
    )
    one = results["seeds"][0]
    say(
        console,
        f"Over the images: seed {one['seed']}'s classifier, of accuracy {one['test_accuracy']:.4f} on "
        f"{results['test_images']:,} images, would give {_words(one['test_accuracy_ci95'])} on other test images (95%)",
    )
    if sentence := LooksOfData(results["test_looks_of_data"], results["runs_that_looked"]).sentence:
        say(console, sentence)
    say(
        console,
        f"Total time {results['total_seconds']:.2f} s, of which training {results['train_seconds']:.2f} s",
    )
    say(console, f"The runs are in {result.path}. What to do next:")
    runs = [result.path / f"seed-{seed['seed']}" for seed in results["seeds"]]
    for arguments in (("predict", runs[0]), ("report", runs[0]), ("compare", *runs), ("plot", *runs)):
        say(console, f"  {command(*arguments)}{' PICTURE…' if 'predict' in arguments else ''}")


def _words(interval: list[float]) -> str:
    return "{:.4f} to {:.4f}".format(*interval)
