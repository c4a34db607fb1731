"""How `eyebright predict --ray` asks and what it says: the answers themselves are in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eyebright.cli.output import console_for, print_json_line

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.cluster.parts import Tally
    from eyebright.cluster.prediction import Question


def check_ray_flags(ray: str | None, output: Path | None, *, csv: bool) -> None:
    """Refuse what does not go together, before anything large is imported.

    Raises:
        SettingsError: one of --ray and -o without the other, --csv, or no address.
        MissingExtraError: Ray is not here.
    """
    from eyebright.errors import SettingsError

    if ray is None and output is None:
        return
    if ray is None:
        raise SettingsError(f"--output {output}: answers go there from a cluster: give --ray as well, or use --json.")
    if output is None:
        raise SettingsError("--ray: the answers of a cluster are written to files: say where by -o DIR.")
    if csv:
        raise SettingsError("--csv: with --ray answers are JSON lines, in the directory of -o. Leave it out.")
    from eyebright.cluster.connection import check_address

    check_address(ray)


def predict_on_ray(
    classifier: Classifier, question: Question, pictures: Sequence[str], output: Path, address: str, *, json: bool
) -> Tally:
    """Ask a cluster; say how many pictures were answered, and where.

    Returns:
        What all of them came to, those of earlier calls included.
    """
    from eyebright.cluster.prediction import predict_in_parts

    console = console_for(quiet=False, json=json)
    tally, now = predict_in_parts(question, pictures, output, address, classifier=classifier, console=console)
    if json:
        print_json_line({"path": str(output), "pictures": len(pictures), **tally._asdict(), "now": now})
        return tally
    before = f", {len(pictures) - now:,} of them before" if now < len(pictures) else ""
    print(f"{tally.answered:,} pictures answered, {tally.failed:,} could not be read{before}")
    print(f"The answers are in {output}, part-00000.jsonl and so on; of a picture that could not be read, its error")
    return tally
