"""`eyebright package`: a run's classifier as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.options import DataDir, FinishedRun, JsonAside
from eyebright.cli.output import print_json

if TYPE_CHECKING:
    from eyebright.data.dataset import Dataset
    from eyebright.run_directory import RunDirectory

_SUFFIX = ".eyebright"


def package(
    run: FinishedRun,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help=f"The artefact ({_SUFFIX}).", show_default=f"RUN/export/NAME{_SUFFIX}, after the run"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the classifier.", show_default="the name of its data")
    ] = None,
    license: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option("--license", help="Under which it may be used: apache-2.0, say.", show_default="none is stated"),
    ] = None,
    golden: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Labelled images of which 16 become the golden images; they travel with the file for all to see.",
            show_default="16 made by a generator",
        ),
    ] = None,
    data_dir: DataDir = None,
    json: JsonAside = False,
) -> None:
    """Write a run's classifier as one file that answers the same everywhere.

    Weights, ONNX graph, class names, preprocessing, calibration, what it needs to abstain and to tell unlike pictures,
    a model card, and golden images with the probabilities that must be given for them wherever it is loaded. predict
    and serve take the file, without TensorFlow. Before it appears, ONNX Runtime must answer as Keras does.
    """
    from eyebright.cli.run_images import saved_classifier
    from eyebright.errors import SettingsError
    from eyebright.run_directory import RunDirectory
    from eyebright.storage import check_writable

    directory = RunDirectory.open(run)
    path = output or run / "export" / f"{run.resolve().name}{_SUFFIX}"
    if path.suffix != _SUFFIX:
        raise SettingsError(f"--output {path}: give a name that ends in {_SUFFIX}.")
    if output is None:
        path.parent.mkdir(exist_ok=True)
    check_writable(path)
    classifier = saved_classifier(directory)
    images = None if golden is None else _golden(directory, golden, data_dir, progress=not json)

    from eyebright.packaging.package import package as write_package

    written = write_package(directory, classifier, path, name=name, licence=license, golden=images, progress=not json)
    if json:
        print_json({**written._asdict(), "path": str(path)})
        return
    print(
        f"{path}: {written.bytes:,} bytes, SHA-256 {written.sha256}. On {written.images} images its probabilities "
        f"differ from Keras's by at most {written.difference:.1g}."
    )


def _golden(run: RunDirectory, golden: str, data_dir: Path | None, *, progress: bool) -> Dataset:
    from eyebright.cli.run_data import load_run_data

    return load_run_data(run, golden, data_dir, progress=progress)
