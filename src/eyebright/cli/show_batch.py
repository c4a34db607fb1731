"""`eyebright show-batch`: training images as a step sees them, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eyebright.cli.options import DataDir
from eyebright.cli.output import check_png, console_for
from eyebright.cli.run_data import load_fitted
from eyebright.settings import Settings
from eyebright.sources import as_text, flag


def _setting(name: str, default: str | None = None) -> Any:
    field = Settings.model_fields[name]
    shown = default or as_text(field.default)
    return typer.Option(flag(name), help=f"{field.description} [default: {shown}]", show_default=False)


def show_batch(
    data: Annotated[
        str | None,
        typer.Argument(help="The data, as for eyebright train. [default: digits]", show_default=False),
    ] = None,
    model: Annotated[str | None, _setting("model")] = None,
    preset: Annotated[str | None, _setting("preset")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, for example the settings.toml of a run.")
    ] = None,
    augment: Annotated[str | None, _setting("augment", "the preset's")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    step: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The step whose batch is shown.")] = 0,
    images: Annotated[int, typer.Option(min=1, max=64, help="Images of the batch, one a row.")] = 8,
    views: Annotated[int, typer.Option(min=1, max=20, help="Epochs from this step's on, one a column.")] = 6,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture (PNG).")] = Path("batch.png"),
    data_dir: DataDir = None,
) -> None:
    """Draw what augmentation makes of training images.

    A row shows an image of the step's batch as it is, and then as a run with these settings is trained on it in this
    epoch and in those that follow.
    """
    from eyebright.presets import resolve_settings

    check_png(output, "picture")
    flags = {"data": data, "model": model, "preset": preset, "augment": augment, "seed": seed}
    resolved = resolve_settings(flags, config)

    # Standard output is for the path alone.
    dataset, split, settings = load_fitted(resolved, data_dir, console_for(quiet=False, json=True))

    from eyebright.backend import available_threads, set_threads
    from eyebright.training.preview import preview
    from eyebright.training.preview_picture import draw_preview

    set_threads(settings.threads or available_threads())
    shown = preview(settings, dataset, split.train, step, images, views)
    changes = ", ".join(f"{name}={as_text(value)}" for name, value in shown.policy.to_dict().items())
    place = f"step {step} (epoch {shown.first_epoch + 1}), seed {settings.seed}, batches of {settings.batch_size}"
    policy = f"augment={settings.augment}: {changes or 'the images stay as they are'}"
    draw_preview(output, shown, dataset.class_names, [f"{dataset.name}: {place}", policy])
    print(output)
