"""`eyebright export`: a run's classifier in the format of another runtime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer

from eyebright.cli.options import DataDir, JsonAside
from eyebright.cli.output import print_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eyebright.classifier import Classifier
    from eyebright.export.export import Exported
    from eyebright.export.quantization import Quantization
    from eyebright.run_directory import RunDirectory


def export(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run; for web, an artefact as well.")],
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option("--format", metavar="onnx|litert|saved_model|openvino|web", help="For which runtime.")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file; of saved_model, openvino and web the directory.",
            show_default="RUN/export/ and a name after the format",
        ),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="dynamic|static|float16",
            help="Smaller numbers: weights of 8 bits; all of 8 bits, by ranges measured on training images; or of 16.",
            show_default="float32",
        ),
    ] = None,
    max_loss: Annotated[
        float, typer.Option(min=0, max=1, help="How much accuracy a quantised file may lose, as a share of all images.")
    ] = 0.01,
    images: Annotated[
        int, typer.Option(min=1, max=10_000, help="On how many images at most answers are compared.")
    ] = 10_000,
    data: Annotated[
        str | None, typer.Option(help="Where the run's data lies now.", show_default="where it lay in training")
    ] = None,
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option(help="For web: the page's title.", show_default="the run's name")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="For web: abstain below this probability.", show_default="never abstain")
    ] = None,
    target_error: Annotated[
        float | None,
        typer.Option(
            help="For web: abstain so that at most this share of the answers is wrong.", show_default="never abstain"
        ),
    ] = None,
    unlike_share: Annotated[
        float | None,
        typer.Option(
            help="For web: of pictures like the validation images, this share may be called unlike.",
            show_default="0.01",
        ),
    ] = None,
    web_runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="ARCHIVE",
            help="For web: onnxruntime-web, as npm pack fetches it.",
            show_default="that of make web-runtime",
        ),
    ] = None,
    json: JsonAside = False,
) -> None:
    """Write a run's classifier for another runtime: pixels in, probabilities out.

    Preprocessing, test-time views and calibration are inside; a picture has to be brought to the classifier's size
    outside, in the way that the file's metadata say. Before the file appears, its runtime must answer as the classifier
    does, on the run's validation images and then training images: in float32 within 0.0001 and with the same class for
    each; quantised, what is lost is said. Test images are not looked at.

    web writes a folder of static files: a page that runs the classifier in the browser. See docs/how-to/web-page.md.
    """
    from eyebright.cli.export_page import NAME, check_page_flags, write_page

    check_page_flags(
        format, quantize, name=name, min_confidence=min_confidence, target_error=target_error,
        unlike_share=unlike_share, web_runtime=web_runtime,
    )  # fmt: skip
    if format == NAME:
        write_page(
            run, output, name=name, min_confidence=min_confidence, target_error=target_error,
            unlike_share=unlike_share, web_runtime=web_runtime, json=json,
        )  # fmt: skip
        return
    from eyebright.cli.run_images import saved_classifier
    from eyebright.export.formats import check_format, check_target, default_name
    from eyebright.run_directory import RunDirectory
    from eyebright.storage import make_directory

    check_format(format, quantize, others=[NAME])
    directory = RunDirectory.open(run)
    target = output or run / "export" / default_name(format, quantize)
    classifier = saved_classifier(directory)
    if output is None:
        make_directory(target.parent)
    check_target(format, target)
    compared = _compared(directory, classifier, data, data_dir, images, progress=not json)

    from eyebright.export.export import export as write

    written = write(
        classifier,
        format,
        target,
        images=compared.images,
        labels=compared.labels,
        quantize=cast("Quantization | None", quantize),
        calibration_images=compared.training,
        max_loss=max_loss,
        progress=sys.stderr.isatty(),
    )
    if json:
        print_json({**written.to_dict(), "format": format, "quantize": quantize, "compared_on": compared.what})
    else:
        _print(written, compared.what)


class _Compared(NamedTuple):
    """Images that the classifier and the file are asked about.

    Attributes:
        what: they are, in words.
        images: uint8 [N, H, W, C].
        labels: int32 [N]; None of made images.
        training: uint8 [n, H, W, C], training images.
    """

    what: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int32] | None
    training: NDArray[np.uint8]


def _compared(
    run: RunDirectory, classifier: Classifier, data: str | None, data_dir: Path | None, count: int, *, progress: bool
) -> _Compared:
    """Validation images of the run's data, then training images; made ones where the data are not there."""
    import numpy as np

    from eyebright.cli.run_data import load_run_data
    from eyebright.data.split import split_dataset
    from eyebright.errors import EyebrightError
    from eyebright.packaging.made_images import made_images

    try:
        dataset = load_run_data(run, data, data_dir, progress=progress)
        run.check_same_data(dataset)
    except EyebrightError as error:
        if data is not None:
            raise
        print(f"Answers are compared on made images, without labels: {error}", file=sys.stderr)
        made = made_images(classifier.image_shape, min(count, _MADE))
        return _Compared("made images", made, None, made)
    split = split_dataset(dataset, **run.settings.split)
    chosen = np.concatenate([split.validation, split.train])[:count]
    training = dataset.images[split.train[:: max(1, len(split.train) // _TRAINING)]]
    what = f"validation{' and training' if len(chosen) > len(split.validation) else ''} images"
    return _Compared(what, dataset.images[chosen], dataset.labels[chosen], training)


_MADE = 1_000
_TRAINING = 200  # of which a static quantisation measures ranges


def _print(written: Exported, what: str) -> None:
    parity = written.parity
    print(f"{written.path}: {written.bytes:,} bytes")
    print(
        f"Compared with the classifier on {parity.images:,} {what}: the same class for "
        f"{parity.same:,}, probabilities within {parity.largest_difference:.1g}"
    )
    if parity.accuracy is not None and parity.accuracy_loss:
        print(f"Accuracy on them {parity.accuracy - parity.accuracy_loss:.4f}, the classifier's {parity.accuracy:.4f}")
