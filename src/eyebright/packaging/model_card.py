"""The model card of an artefact: Markdown with a header of metadata, in the ways of Hugging Face.

What only a person knows, what it is meant for and what it must not be used for, is left to be filled in; figures are
filled in here (Mitchell et al., "Model Cards for Model Reporting", 2019).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from eyebright.classifier import Classifier
from eyebright.report.figures import summary
from eyebright.views import VIEWS

_DATASETS = {  # of the catalogue, as Hugging Face names them
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
}
_TO_FILL_IN = "*To be filled in by those who trained it.*"


def model_card(about: dict[str, Any], classifier: Classifier, figures: dict[str, Any] | None) -> str:
    """The card of a classifier.

    Args:
        about: its facts, as `facts.about` gives them.
        classifier: itself.
        figures: of its test images, as `metrics.figures.all_figures` gives them; None where the run did not keep its
            answers to them.
    """
    sections = [
        _header(about),
        f"# {about['name']}",
        _what_it_is(about, classifier),
        f"## What it is meant for\n\n{_TO_FILL_IN}",
        f"## What it must not be used for\n\n{_TO_FILL_IN}",
        "## How good it is\n\n" + _how_good(about, figures),
        "## When it does not know\n\n" + _when_it_does_not_know(about, classifier),
        "## What it was trained on\n\n" + _trained_on(about),
        "## How it is used\n\n" + _USE,
        f"## Licence\n\n{about['licence'] or 'None was stated.'}",
    ]
    return "\n\n".join(sections) + "\n"


_USE = """With Eyebright's base package, without TensorFlow:

```
eyebright predict FILE PICTURE…
eyebright serve FILE
eyebright inspect FILE
```

```python
from eyebright import Classifier

probabilities = Classifier.load("FILE").predict(images)  # uint8 [N, H, W, C] in, float32 [N, classes] out
```

Loading verifies every part and computes the golden images again. The graph in it, `model.onnx`, takes uint8 pixels as
they are: preprocessing, views and calibration are inside."""


def _header(about: dict[str, Any]) -> str:
    """YAML between rules. What comes from outside stands in JSON's quotation marks, which are YAML's, too."""
    data, test = about["data"], about["test"]
    dataset = _DATASETS.get(data["name"], data["name"])
    lines = ["library_name: eyebright", "pipeline_tag: image-classification"]
    if about["licence"]:
        lines.insert(0, f"license: {_quoted(about['licence'])}")
    lines += ["tags:", "- image-classification", "- eyebright", "- onnx"]
    if data["name"] in _DATASETS:
        lines += ["datasets:", f"- {_quoted(dataset)}"]
    lines += ["metrics:", "- accuracy"]
    if test["accuracy"] is not None:
        lines += [
            "model-index:",
            f"- name: {_quoted(about['name'])}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {_quoted(data['name'])}",
            f"      type: {_quoted(dataset)}",
            "      split: test",
            "    metrics:",
            "    - type: accuracy",
            f"      value: {test['accuracy']}",
        ]
    return "\n".join(["---", *lines, "---"])


def _what_it_is(about: dict[str, Any], classifier: Classifier) -> str:
    height, width, channels = classifier.image_shape
    names = ", ".join(_plain(name) for name in classifier.class_names)
    return (
        f"An image classifier of {len(classifier.class_names)} classes: {names}.\n\n"
        f"- Model: {about['model']}, {about['parameters']:,} weights, preset `{about['training']['preset']}`.\n"
        f"- Takes pictures of any size and mode, brought to {height} × {width} pixels, "
        f"{'grey' if channels == 1 else 'colour'} (`{classifier.fit}`).\n"
        f"- Answers by {VIEWS[classifier.tta]}.\n"
        f"- Probabilities are calibrated by: {classifier.calibration.method}."
    )


def _how_good(about: dict[str, Any], figures: dict[str, Any] | None) -> str:
    test = about["test"]
    if test["accuracy"] is None:
        return "It was not tested."
    looks = f"{test['looks']} looks" if (test["looks"] or 0) != 1 else "one look"
    text = (
        f"On {test['images']:,} test images of {_plain(about['data']['name'])}, after {looks} at them. A 95% interval "
        "says where a figure would lie with other images of the same kind.\n\n"
    )
    if figures is None:
        return text + _table(
            ("figure", "value", "95% interval"), [_row("Accuracy", test["accuracy"], test["accuracy_ci95"])]
        )
    text += _table(("figure", "value", "95% interval"), [_row(*row) for row in summary(figures)])
    per_class = [
        (_plain(row["label"]), f"{row['support']:,}", *_row("", row["recall"], row["recall_ci95"])[1:],
         *_row("", row["precision"], row["precision_ci95"])[1:])
        for row in figures["per_class"]
    ]  # fmt: skip
    return f"{text}\n\n" + _table(("class", "images", "recall", "95% interval", "precision", "95% interval"), per_class)


def _when_it_does_not_know(about: dict[str, Any], classifier: Classifier) -> str:
    thresholds = about["thresholds"]
    parts = []
    if thresholds["abstaining"]:
        rows = [
            (f"{found['target_error']:g}", f"{found['min_confidence']:.4f}", f"{found['coverage']:.3f}")
            for found in thresholds["abstaining"]
        ]
        parts.append(
            "Below a probability it can abstain, so that at most a share of its answers is wrong (shown on validation "
            "images with 95% confidence):\n\n" + _table(("wrong at most", "answers from", "share answered"), rows)
        )
    if classifier.held_out is not None:
        parts.append("It can answer with sets of classes that hold the right one as often as is asked for.")
    if thresholds["unlike_training"]:
        share = thresholds["unlike_training"]["share"]
        parts.append(f"It marks pictures that are unlike all that it was trained on ({share:g} of such as it knows).")
    return "\n\n".join(parts) or "It always answers: its run kept too few validation images to promise anything."


def _trained_on(about: dict[str, Any]) -> str:
    data, training = about["data"], about["training"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted((training["versions"] or {}).items()))
    return (
        f"{data['training_images']:,} images of {_plain(data['name'])} (fingerprint `{data['fingerprint']}`); "
        f"{data['validation_images']:,} for validation, {data['test_images']:,} for the test. "
        f"{training['steps']:,} steps in {training['precision']}, seed {training['seed']}, by {versions}."
    )


def _row(title: str, value: float | None, interval: Iterable[float] | None) -> tuple[str, str, str]:
    shown = "–" if value is None else f"{value:.4f}"
    return title, shown, "–" if interval is None else "{:.4f} to {:.4f}".format(*interval)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """A name as Markdown shows it: none of its characters means anything."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>#|~" else character for character in text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
