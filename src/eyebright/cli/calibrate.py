"""`eyebright calibrate`: probabilities that are right as often as they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from eyebright.cli.options import DataDir, FinishedRun, Json
from eyebright.cli.output import print_json
from eyebright.cli.run_data import load_run_data

if TYPE_CHECKING:
    from eyebright.data.dataset import Dataset
    from eyebright.metrics.calibration import CalibrationMethod
    from eyebright.run_directory import RunDirectory
    from eyebright.training.recalibration import Recalibration


_FEW = 100  # validation images a class


def calibrate(
    run: FinishedRun,
    data: Annotated[
        str | None, typer.Argument(help="Where the run's data lies now, if it is needed.", show_default="the run's")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="temperature|quadratic|vector|isotonic|none",
            help="How: by one number for all classes; by two for all; by two for each class; by a curve for each; or "
            "not at all. The first two change no answer.",
            show_default="quadratic after label smoothing, else temperature",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Calibrate a finished run's classifier on its validation images.

    eyebright train does so with the same default. What predict answers changes, and with it the test figures in
    results.json, which are computed anew from kept predictions: the test images are not looked at. The figures printed
    are of validation images, each calibrated without its own help (five folds). A classifier of an older Eyebright
    learns, where the run's data are there, to tell pictures that are unlike its training images, too.
    """
    from eyebright.metrics.calibration import check_method
    from eyebright.run_directory import RunDirectory

    if method is not None:
        check_method(method)
    directory = RunDirectory.open(run)

    from eyebright.training.recalibration import calibrate as calibrate_run
    from eyebright.training.recalibration import knows_its_images, needs_data

    dataset = None
    if needs_data(directory) or data is not None:
        dataset = load_run_data(directory, data, data_dir, progress=not json)
    elif not knows_its_images(directory):
        dataset = _if_there(directory, data_dir, progress=not json)
    done = calibrate_run(
        run, cast("CalibrationMethod | None", method), dataset=dataset, progress=not json and sys.stderr.isatty()
    )
    if json:
        print_json(
            {
                "calibration": done.calibration.summary(),
                "validation_images": done.images,
                "before": done.before,
                "after": done.after,
                "test_loss": done.results["test_loss"],
                "test_accuracy": done.results["test_accuracy"],
            }
        )
    else:
        _print(done)
    _say_what_is_of_before(directory)


def _say_what_is_of_before(run: RunDirectory) -> None:
    """Say on standard error how the figures of several seeds, or of folds, come to be of the new calibration."""
    from eyebright.run_paths import is_run
    from eyebright.suggestions import command

    series = run.path.absolute().parent
    if is_run(series) and (series / "results.json").exists():
        up_to_date = command("train", "--resume", series)
        print(f"The figures of {series} are still of before. Bring them up to date: {up_to_date}", file=sys.stderr)


def _if_there(run: RunDirectory, data_dir: Path | None, *, progress: bool) -> Dataset | None:
    """The run's data, which are wanted but not needed; where they cannot be had, that is said on standard error."""
    from eyebright.errors import EyebrightError

    try:
        return load_run_data(run, None, data_dir, progress=progress)
    except EyebrightError as error:
        print(f"predict will not tell pictures that are unlike the training images: {error}", file=sys.stderr)
        return None


def _print(done: Recalibration) -> None:
    from eyebright.metrics.calibration_error import BINS

    if done.calibration.classes is not None and done.images < _FEW * done.calibration.classes:
        print(
            f"{done.images:,} validation images are few for {done.calibration.method} calibration, which fits each "
            "class by itself: it wants some hundreds a class. A temperature takes fewer.",
            file=sys.stderr,
        )

    numbers = [f"{name} {value:.3f}" for name, value in done.calibration.to_dict().items() if isinstance(value, float)]
    how = f" ({', '.join(numbers)})" if numbers else ""
    print(f"Calibration {done.calibration.method}{how}, fitted to {done.images:,} validation images")
    for title, figures in (("Without it", done.before), ("With it, five-fold", done.after)):
        if figures is not None:
            print(
                f"{title}: log loss {figures['log_loss']:.4f}, calibration error (ECE, {BINS} equal-mass bins) "
                f"{figures['calibration_error']:.4f}, accuracy {figures['accuracy']:.4f}"
            )
    print(
        f"Test images, from kept predictions: log loss {done.results['test_loss']:.4f}, accuracy "
        f"{done.results['test_accuracy']:.4f} (before: {done.accuracy_before:.4f})"
    )
