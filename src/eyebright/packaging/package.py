"""A run's classifier as an artefact: one file that carries all of it, checked before it appears."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.artefact import ABOUT, CARD, GRAPH, artefact_bytes
from eyebright.backend import versions
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, DataError, RunError
from eyebright.export.onnx import onnx_graph
from eyebright.golden import GOLDEN, TOLERANCE, GoldenImages
from eyebright.golden_pictures import GOLDEN_PICTURES, GoldenPictures, decoded
from eyebright.kept_predictions import Answers
from eyebright.onnx_network import OUTPUTS, OnnxNetwork
from eyebright.packaging.facts import about
from eyebright.packaging.made_images import made_images, spread_over
from eyebright.packaging.made_pictures import made_pictures
from eyebright.packaging.model_card import model_card
from eyebright.randomness import Stream, permutation
from eyebright.report.figures import TestAnswers, figures_of
from eyebright.run_directory import RunDirectory

GOLDEN_IMAGES = 16
_CANDIDATES = 128  # made images, of which the golden ones are chosen and all must be answered alike
_LIBRARIES = ("onnx", "onnxruntime", "tf2onnx")  # that made the graph and checked it, beside Keras and TensorFlow


class Packaged(NamedTuple):
    """An artefact that was written.

    Attributes:
        path: of it.
        bytes: its length.
        sha256: of the file, 64 hexadecimal digits.
        difference: the largest of a probability between Keras and the graph, over `images` images.
        images: how many both were asked about.
    """

    path: Path
    bytes: int
    sha256: str
    difference: float
    images: int


def package(
    run: RunDirectory,
    classifier: Classifier,
    output: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    golden: Dataset | None = None,
    progress: bool = False,
) -> Packaged:
    """Write a run's classifier as an artefact. The same run gives, with the same libraries, the same bytes.

    Args:
        run: a finished run.
        classifier: the one that it saved, on Keras.
        output: the file.
        name: what to call the classifier; the name of its data if not given.
        licence: under which it may be used.
        golden: images of which some become the golden images; made ones do if not given.
        progress: whether to show a progress bar on standard error.

    Raises:
        DataError: the golden images have another shape.
        ClassifierError: the graph does not answer as Keras does.
        StorageError: it cannot be written.
        MissingExtraError: what makes the graph is not installed.
    """
    images, chosen = _candidates(classifier, golden)
    probabilities = classifier.predict(images)
    if golden is None:
        chosen = spread_over(probabilities.argmax(axis=1), GOLDEN_IMAGES)
    graph = onnx_graph(classifier, OUTPUTS)
    files = made_pictures(classifier.image_shape)
    pictures = decoded(files, classifier.image_shape, classifier.fit)
    of_pictures = classifier.predict(pictures)
    both = GoldenImages(np.concatenate([images, pictures]), np.concatenate([probabilities, of_pictures]))
    difference = _check_graph(classifier, graph, both)
    facts = about(run, classifier, name, licence) | {"golden_images": golden.name if golden else "made by a generator"}
    parts = {
        **classifier.saved.to_parts(),
        ABOUT: storage.json_bytes(facts),
        CARD: model_card(facts, classifier, _figures(run, progress=progress)).encode(),
        GOLDEN: GoldenImages(images[chosen], probabilities[chosen]).to_part(),
        GOLDEN_PICTURES: GoldenPictures(files, of_pictures, metadata.version("pillow")).to_part(),
        GRAPH: graph,
    }
    content = artefact_bytes(parts, versions() | {library: metadata.version(library) for library in _LIBRARIES})
    storage.write_file(output, content)
    return Packaged(output, len(content), storage.sha256(content), difference, len(both.images))


def _candidates(classifier: Classifier, golden: Dataset | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 [n, H, W, C] to ask both about, and which of a data set's among them are golden: all."""
    if golden is None:
        return made_images(classifier.image_shape, _CANDIDATES), np.empty(0, np.int64)
    if golden.image_shape != classifier.image_shape:
        raise DataError(
            f"--golden {golden.name}: its images are {' × '.join(map(str, golden.image_shape))}; the classifier takes "
            f"{' × '.join(map(str, classifier.image_shape))}."
        )
    order = permutation(0, Stream.GOLDEN, 0, len(golden))
    images = golden.images[order[spread_over(golden.labels[order], GOLDEN_IMAGES)]]
    return images, np.arange(len(images))


def _check_graph(classifier: Classifier, graph: bytes, expected: GoldenImages) -> float:
    """The parity gate: ONNX Runtime must answer as Keras did. The largest difference of a probability."""
    network = OnnxNetwork(graph, classifier.image_shape, len(classifier.class_names), classifier.tta)
    difference = expected.difference(Classifier(*classifier.saved, network=network).predict)
    if not difference <= TOLERANCE:
        raise ClassifierError(
            f"The graph's probabilities differ by {difference:.2g} from those of the classifier; {TOLERANCE:g} is "
            "allowed. Nothing was written. Upgrade onnxruntime and tf2onnx; if that does not help, please report it."
        )
    return difference


def _figures(run: RunDirectory, *, progress: bool) -> dict[str, object] | None:
    """Of the run's test images, by the answers that it kept: no look. None where it kept none."""
    try:
        answers = TestAnswers.of(Answers.of(run))
    except RunError:
        return None
    return figures_of(answers, run.data.class_names, progress=progress)
