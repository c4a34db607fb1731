"""The outcome of a test of learning rates as a picture."""

from __future__ import annotations

import io
from pathlib import Path

from eyebright.errors import MissingExtraError
from eyebright.storage import write_file
from eyebright.training.rate_finder import RateTest

_MARGIN = 0.15  # of the height of what is shown, above and below


def draw_rate_test(test: RateTest, path: Path, title: str) -> None:
    """Draw the loss against the learning rate, with the suggestion marked, as a PNG.

    Args:
        test: what to draw.
        path: of the picture.
        title: what stands above it.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot: no window system, no global state
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error

    figure = Figure(figsize=(8, 5), layout="constrained")
    panel = figure.subplots()
    panel.plot(test.learning_rates, test.losses, ".", color="0.7", markersize=4, label="loss of a batch")
    panel.plot(test.learning_rates, test.smoothed_losses, color="C0", linewidth=1.5, label="smoothed")
    panel.axvline(test.suggestion, color="C1", linewidth=1.5, label=f"suggestion: {test.suggestion:g}")
    panel.set(title=title, xlabel="learning rate", ylabel="loss", xscale="log")
    # What rises higher than the loss ever was before its lowest leaves the picture: the fall would be small beside it.
    lowest = test.smoothed_losses.argmin()
    low, high = test.smoothed_losses[lowest], test.smoothed_losses[: lowest + 1].max()
    panel.set_ylim(low - _MARGIN * (high - low), high + _MARGIN * (high - low))
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_file(path, picture.getvalue())
