"""What a person sees of a training: a bar on a terminal, plain lines anywhere else, nothing when quiet."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eyebright.data.dataset import Dataset
from eyebright.data.split import Split
from eyebright.picture_options import OF_PICTURE_FILES
from eyebright.settings import UNUSED_BY_MODEL, Settings
from eyebright.sources import as_text

_FEW = 100  # validation images: an accuracy on fewer has a 95% interval of some ± 0.1


class TrainingProgress:
    """Shows how far a training is.

    Args:
        console: where to; None shows nothing.
        total_steps: length of the run.
        done: steps done before.
        title: what the bar is called; with a title there is the bar alone, and nothing off a terminal.
    """

    def __init__(self, console: Console | None, total_steps: int, done: int, title: str | None = None) -> None:
        self._console = console if title is None else None  # for lines
        self._bar = None
        if console is not None and console.is_terminal:
            self._bar = Progress(
                TextColumn("Step" if title is None else f"{title}, step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=console,
                transient=title is not None,  # the line of its result takes its place
            )
            self._task = self._bar.add_task("train", total=total_steps, completed=done, figures="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, steps_done: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Move the bar."""
        if self._bar:
            figures = f"{images_per_second:,.0f} images/s  loss {loss:.3f}  accuracy {accuracy:.3f}"
            self._bar.update(self._task, completed=steps_done, figures=figures)

    def logged(self, step: int, accuracy: float) -> None:
        """A line every `log_steps`, in the tutorial's words."""
        if not self._bar:
            say(self._console, f"Step {step}, training accuracy {accuracy:.4f}")

    def validated(self, steps_done: int, accuracy: float) -> None:
        """A line after each validation; on a terminal it stands above the bar, which has no room for it."""
        say(self._console, f"Step {steps_done}, validation accuracy {accuracy:.4f}")


def say(console: Console | None, message: str) -> None:
    """Print a message as it is: no markup, no colours guessed, and not wrapped at 80 columns off a terminal."""
    if console is not None:
        console.print(message, markup=False, highlight=False, soft_wrap=True)


def say_settings(console: Console | None, settings: Settings, dataset: Dataset, reason: str) -> None:
    """Print the settings that these data and this model use, and the reason for the precision."""
    unused = UNUSED_BY_MODEL[settings.model] | (set() if dataset.paths else OF_PICTURE_FILES)
    for key, value in settings.to_dict().items():
        if key not in unused:
            say(console, f"{key} = {as_text(value)}")
    say(console, f"Precision {settings.precision}: {reason}")


def say_split(console: Console | None, split: Split) -> None:
    """Print how many images are for what, and warn where those for validation are too few to tell much."""
    train, validation, test = (len(part) for part in (split.train, split.validation, split.test))
    say(console, f"{train:,} images to train on, {validation:,} for validation, {test:,} to test on")
    if 0 < validation < _FEW:
        say(
            console,
            f"So few validation images ({validation}) tell little: accuracies on them, calibration and thresholds will "
            "be rough. --validation takes a fraction or a number of images.",
        )
