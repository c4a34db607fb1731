"""A classifier as a TensorFlow SavedModel, for TensorFlow Serving and whatever else reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyebright.backend import tf
from eyebright.classifier import Classifier
from eyebright.export.metadata import write_metadata
from eyebright.export.network import network
from eyebright.export.parity import Answer
from eyebright.export.quantization import Quantization
from eyebright.onnx_network import INPUT
from eyebright.views import Images

SIGNATURE = "serving_default"


def save(function: Any, directory: Path) -> None:
    """Write a network as a SavedModel.

    Args:
        function: as `network` gives it. Its signature, "serving_default", takes `images` uint8 [N, H, W, C].
        directory: where, anew.
    """
    module = tf.Module()
    module.model, module.function = function.model, function  # what holds the variables, and what is computed of them
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # nobody will train it
    tf.saved_model.save(module, str(directory), signatures={SIGNATURE: function}, options=options)


def write(classifier: Classifier, path: Path, _quantize: Quantization | None, _images: Images) -> None:
    """Write a SavedModel with metadata beside it; see `Format`."""
    save(network(classifier), path)
    write_metadata(path, classifier)


def read(path: Path) -> Answer:
    """What a SavedModel answers, by TensorFlow."""
    loaded = tf.saved_model.load(str(path))

    def answer(images: Images) -> Any:
        signature = loaded.signatures[SIGNATURE]  # of the object, which holds the variables
        return signature(**{INPUT: tf.constant(images)})["probabilities"].numpy()

    return answer
