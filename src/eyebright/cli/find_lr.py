"""`eyebright find-lr`: a learning rate to train with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from eyebright.cli.backend import Backend, choose_backend
from eyebright.cli.flags import with_settings_flags
from eyebright.cli.options import DataDir
from eyebright.cli.output import check_png, console_for, print_json_line
from eyebright.cli.run_data import load_fitted
from eyebright.sources import as_text, flag

_LEAST_RATE, _LARGEST_RATE = 1e-12, 1e6  # float32 has them, and steps between them


@with_settings_flags
def find_lr(
    data: Annotated[
        str | None,
        typer.Argument(help="The data, as for eyebright train. [default: digits]", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, for example the settings.toml of a run.")
    ] = None,
    start: Annotated[float, typer.Option(help="Learning rate of the first step.")] = 1e-6,
    end: Annotated[float, typer.Option(help="Learning rate of the last step.")] = 10.0,
    steps: Annotated[int, typer.Option(min=20, max=1000, help="How many learning rates to try.")] = 100,
    output: Annotated[Path, typer.Option("-o", "--output", help="The chart (PNG).")] = Path("find-lr.png"),
    backend: Backend = None,
    data_dir: DataDir = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as one line of JSON; what is for people goes to stderr.")
    ] = False,
    **flags: Any,
) -> None:
    """Suggest a learning rate for eyebright train with the same flags.

    Some training steps are made, each at a higher rate than the one before, until the loss diverges (the range test of
    Smith, 2017). The suggestion is a third of the rate at which the smoothed loss is lowest; the chart shows the loss
    at every rate. Only training images are looked at, and no run is made. Flags that say how long a run is and how its
    learning rate changes play no part in the test; they are repeated in the command that it suggests.
    """
    choose_backend(backend)
    # What can be wrong with the command is found out before anything large is imported or read.
    from eyebright.presets import resolve_settings

    _check(start, end, output)
    resolved = resolve_settings({"data": data, **flags}, config)

    console = console_for(quiet=False, json=json)
    dataset, _, settings = load_fitted(resolved, data_dir, console)

    from eyebright.training.progress import say
    from eyebright.training.rate_chart import draw_rate_test
    from eyebright.training.rate_finder import find_learning_rate

    test = find_learning_rate(settings, dataset, start=start, end=end, steps=steps, console=console)
    title = f"{dataset.name}, {settings.model}, {settings.optimizer}, batches of {settings.batch_size}"
    draw_rate_test(test, output, title)
    chosen = {**flags, "learning_rate": test.suggestion, "backend": backend}
    train = _train_command(data, config, data_dir, chosen)
    say(console, f"Suggested learning rate: {test.suggestion:g}")
    say(console, f"The chart is in {output}. Train with the suggestion:\n  {train}")
    if json:
        curves = {name: getattr(test, name).tolist() for name in ("learning_rates", "losses", "smoothed_losses")}
        print_json_line({"learning_rate": test.suggestion, "command": train, "chart": str(output), **curves})


def _check(start: float, end: float, output: Path) -> None:
    from eyebright.errors import SettingsError
    from eyebright.paths import is_directory

    if not _LEAST_RATE <= start < end <= _LARGEST_RATE:
        raise SettingsError(
            f"--start {start:g} --end {end:g}: the learning rate rises from one to the other. Give a smaller and a "
            f"larger number, from {_LEAST_RATE:g} to {_LARGEST_RATE:g}."
        )
    check_png(output, "chart")
    if not is_directory(output.parent):  # said now, not after minutes of training
        raise SettingsError(f"--output {output}: there is no directory {output.parent}.")


def _train_command(data: str | None, config: Path | None, data_dir: Path | None, flags: Mapping[str, Any]) -> str:
    """The command that trains as was tested: with what was given here, and the learning rate."""
    from eyebright.suggestions import command

    arguments: list[object] = [] if data is None else [data]
    for name, value in {"config": config, "data_dir": data_dir, **flags}.items():
        if isinstance(value, bool):
            arguments.append(flag(name) if value else f"--no-{name.replace('_', '-')}")
        elif value is not None:
            arguments += [flag(name), as_text(value)]
    return command("train", *arguments)
