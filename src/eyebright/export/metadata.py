"""What each exported file says of itself: class names, sizes, what is inside it, versions."""

from __future__ import annotations

import json
from pathlib import Path

from eyebright import storage
from eyebright.backend import versions
from eyebright.classifier import Classifier
from eyebright.export.formats import ABOUT


def write_metadata(directory: Path, classifier: Classifier) -> None:
    """Write `metadata` into a directory, as `ABOUT`."""
    (directory / ABOUT).write_bytes(storage.json_bytes(metadata(classifier)))


def metadata(classifier: Classifier) -> dict[str, str]:
    """Metadata by name, each a text, as formats that know nothing else keep them.

    Returns:
        `labels` (a JSON array, in the order of the outputs), `labels_sha256` (of that text), `image_shape` (JSON:
        height, width, channels), `preprocessing` (JSON: in words, how a picture becomes the input, which is left to
        whoever uses the file, and what is inside), `calibration` (JSON), `architecture` (JSON), `weights_sha256`, and
        `version_…` of what made the file.
    """
    labels = json.dumps(classifier.class_names, ensure_ascii=False)
    saved = classifier.saved
    own = {
        "labels": labels,
        "labels_sha256": storage.sha256(labels.encode()),
        "image_shape": json.dumps(classifier.image_shape),
        "preprocessing": json.dumps(saved.preprocessing, ensure_ascii=False, sort_keys=True),
        "calibration": json.dumps(classifier.calibration.to_dict(), sort_keys=True),
        "architecture": classifier.architecture.model_dump_json(exclude_none=True),
        "weights_sha256": classifier.weights_sha256,
    }
    return own | {f"version_{name}": version for name, version in versions().items() if name != "python"}


def labels_text(classifier: Classifier) -> str:
    """The names of the classes, one a line, in the order of the outputs; line breaks in a name become spaces."""
    return "".join(" ".join(name.splitlines()) + "\n" for name in classifier.class_names)
