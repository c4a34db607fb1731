"""`eyebright inspect FILE`: all that an artefact says of itself, verified."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import Any

from eyebright.cli.output import print_json, print_table

_NETWORK = "network as it is computed"  # what can be folded into its layers is: preprocessing, batch normalisation


def inspect_artefact(path: Path, *, skip_golden: bool, json: bool) -> None:
    """Print what is in an artefact.

    Args:
        path: the file.
        skip_golden: whether not to compute its golden images again.
        json: whether to print JSON.

    Raises:
        ClassifierError: it is damaged, of a newer version, or gives other answers here.
    """
    from eyebright.artefact import ABOUT, CARD, read_artefact
    from eyebright.classifier import Classifier
    from eyebright.errors import ClassifierError
    from eyebright.golden import GOLDEN, GoldenImages
    from eyebright.golden_pictures import GOLDEN_PICTURES, GoldenPictures
    from eyebright.storage import MANIFEST, sha256

    parts = read_artefact(path)
    classifier = Classifier.load(path, skip_golden=skip_golden)
    golden = GoldenImages.from_part(parts[GOLDEN], classifier.image_shape, len(classifier.class_names))
    pictures = GoldenPictures.from_part(parts[GOLDEN_PICTURES], len(classifier.class_names))
    manifest, content = loads(parts[MANIFEST]), path.read_bytes()
    try:
        said = {
            name.removesuffix(".json"): loads(parts[name])
            for name in (ABOUT, "architecture.json", "labels.json", "preprocessing.json", "inference.json")
        }
        card = parts[CARD].decode()
    except (ValueError, KeyError, RecursionError) as error:  # verified, and written by another
        raise ClassifierError(f"{path}: a part for people is missing or cannot be read: {error}.") from error
    found: dict[str, Any] = {
        "file": str(path),
        "bytes": len(content),
        "sha256": sha256(content),
        "format_version": manifest["version"],
        "versions": manifest["versions"],
        "parts": manifest["files"],
        **said,
        "calibration": classifier.calibration.to_dict(),
        "golden": {
            "images": len(golden.images),
            "pictures": len(pictures.files),
            "largest_difference": None
            if skip_golden
            else max(
                golden.difference(classifier.predict),
                pictures.difference(classifier.predict, classifier.image_shape, classifier.fit),
            ),
        },
        "held_out_images": 0 if classifier.held_out is None else len(classifier.held_out.labels),
        "card": card,
    }
    if json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    from eyebright.settings import UNUSED_BY_MODEL

    print(f"{found['file']}: an artefact, format {found['format_version']}, {found['bytes']:,} bytes, undamaged")
    print(f"SHA-256: {found['sha256']}")
    golden = found["golden"]
    what = f"Golden images: {golden['images']}, and {golden['pictures']} pictures"
    if golden["largest_difference"] is None:
        print(f"{what}, not computed again (--skip-golden)")
    else:
        difference = golden["largest_difference"]
        print(f"{what}, whose probabilities differ here by at most {difference:.1g}")
    facts = Table("what", "value")
    unused = UNUSED_BY_MODEL[found["architecture"]["model"]]
    network = {key: value for key, value in found["architecture"].items() if key not in unused}
    found = found | {_NETWORK: network}
    for name in ("about", _NETWORK, "labels", "preprocessing", "inference", "calibration", "versions"):
        for title, value in _flat(name, found[name]):
            facts.add_row(title, value)
    facts.add_row("held-out images", f"{found['held_out_images']:,}")
    print_table(facts)
    print("As it is computed means: preprocessing and batch normalisation of the training are folded into its layers.")
    table = Table("part", "bytes", "SHA-256")
    for name, part in found["parts"].items():
        table.add_row(name, f"{part['bytes']:,}", part["sha256"])
    print_table(table)
    print(f"\n{found['card']}", end="")


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """A value as rows, one for each that is no further dictionary."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _flat(f"{name}: {key.replace('_', ' ')}", inner)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [row for number, inner in enumerate(value, 1) for row in _flat(f"{name} {number}", inner)]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, "–" if value is None else str(value))]
