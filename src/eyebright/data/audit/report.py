"""What an audit of a data set found: findings, each of a kind, and the report that has all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from eyebright.errors import DataError

Severity = Literal["error", "warning"]
_SHOWN = 10  # findings in a message


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: error for what stops a training or makes its figures wrong; warning for what may.
        title: what it is, for people.
        advice: what to do about it.
    """

    severity: Severity
    title: str
    advice: str


# In the order in which they are shown. Programs rely on the names.
KINDS: Mapping[str, Kind] = {
    "unreadable": Kind("error", "files that cannot be read", "Get them anew, or leave them out."),
    "truncated": Kind("error", "files whose end is missing", "Get them anew, or leave them out."),
    "leakage": Kind(
        "error",
        "the same picture in two splits",
        "What is measured on such test images says nothing of new ones: leave out their twins.",
    ),
    "conflicting-labels": Kind("error", "the same picture under two labels", "Decide which label is right."),
    "empty-class": Kind("error", "classes without images", "Add images, or remove the class."),
    "small-class": Kind("warning", "classes with very few images", "Add images, or leave the class out."),
    "imbalance": Kind("warning", "classes of very different sizes", "Add images, or use --class-weights balanced."),
    "exact-duplicate": Kind("warning", "images with the same pixels", "Keep one of them."),
    "near-duplicate": Kind("warning", "images that are almost the same", "Look at them, and keep one."),
    "constant-image": Kind(
        "warning",
        "images that show nothing as they are read",
        "Leave them out; or where what they show lies at the side, try --fit pad.",
    ),
    "label-error": Kind("warning", "labels that are probably wrong", "Look at them, and give them their right labels."),
    "wrong-extension": Kind("warning", "files whose names say another format", "Rename them."),
    "odd-size": Kind("warning", "images of an unusual size", "Look whether they belong to the data."),
    "odd-mode": Kind("warning", "images with an unusual kind of pixels", "Look whether they belong to the data."),
    "extreme-aspect": Kind("warning", "images that are very wide or very high", "Crop them, or train with --fit pad."),
    "shortcut": Kind(
        "warning",
        "what gives a class away without being it",
        "A classifier may learn this in place of the class: make the classes' images alike in it.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Args:
        kind: of `KINDS`.
        message: what is wrong, in a sentence.
        images: every image that it is about, as `Dataset.path` names them.
        exclude: those of them that a list of exclusions leaves out to mend it.
        details: what else a program may want to know, by name; its own for each kind.
    """

    kind: str
    message: str
    images: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """Of its kind."""
        return KINDS[self.kind].severity

    def to_dict(self) -> dict[str, Any]:
        """As `check --json` has it."""
        own = {"kind": self.kind, "severity": self.severity, "message": self.message, "images": list(self.images)}
        return own | dict(self.details)


@dataclass(frozen=True)
class Report:
    """All that an audit found.

    Args:
        data: what the data set is called.
        images: how many images were looked at, those included that cannot be read.
        findings: in the order of `KINDS`.
        overview: counts of what there is, by what it is: classes, splits, sizes, kinds of pixels, formats.
        notes: what the user should know beside, in whole sentences.
    """

    data: str
    images: int
    findings: tuple[Finding, ...]
    overview: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        order = list(KINDS)
        ordered = sorted(self.findings, key=lambda finding: order.index(finding.kind))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def excluded(self) -> set[str]:
        """The images that `exclusion_list` leaves out."""
        return {image for finding in self.findings for image in finding.exclude}

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that has some, in the order of `KINDS`."""
        return dict(Counter(finding.kind for finding in self.findings))

    def of_kind(self, kind: str) -> list[Finding]:
        """The findings of a kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """As `check --json` has it."""
        return {
            "data": self.data,
            "images": self.images,
            "findings": [finding.to_dict() for finding in self.findings],
            "overview": {name: dict(counts) for name, counts in self.overview.items()},
            "notes": list(self.notes),
        }

    def exclusion_list(self) -> str:
        """A list for `--exclude` that leaves out what mends the findings, with the reasons as comments.

        What no exclusion mends (an empty class, say) is not in it. No image is listed twice.
        """
        lines = [
            f"# Made by eyebright check of {_one_line(self.data)}. Delete the lines of what you want to keep.",
            "# Nothing was deleted: eyebright train --exclude with this file leaves out what it lists.",
        ]
        listed: set[str] = set()
        for finding in self.findings:
            new = [image for image in finding.exclude if image not in listed]
            if new:
                lines.append(f"# {finding.kind}: {_one_line(finding.message)}")
                lines += [f"./{image}" if image[0] in "# " else image for image in new]
                listed.update(new)
        return "\n".join(lines) + "\n"


def summary_line(report: Report, more: str) -> str:
    """What `train` says of a report.

    Args:
        report: of the data.
        more: the command that says more.
    """
    if not report.findings:
        return f"Checked {report.images:,} images: nothing found. More is looked for by: {more}"
    counts = ", ".join(f"{count:,} {kind}" for kind, count in report.counts.items())
    return f"Checked {report.images:,} images, and found: {counts}. See: {more}"


def refuse_findings(report: Report, data: str, more: str) -> None:
    """Refuse to go on with data in which something was found.

    Args:
        report: of the data.
        data: their name or path.
        more: the command that says more.

    Raises:
        DataError: the report has findings; the first ones are named.
    """
    if not report.findings:
        return
    lines = [f"  {finding.kind}: {finding.message}" for finding in report.findings[:_SHOWN]]
    if len(report.findings) > _SHOWN:
        lines.append(f"  … and {len(report.findings) - _SHOWN:,} more")
    leave_out = ", leave images out (check's --fix-list FILE, then --exclude FILE)" if report.excluded else ""
    raise DataError(
        f"{data}: --strict trains on nothing in which something was found "
        f"({len(report.findings):,} {'finding' if len(report.findings) == 1 else 'findings'}):\n"
        + "\n".join(lines)
        + f"\nSee all of it ({more}){leave_out}, or train without --strict."
    )


def write_exclusions(report: Report, path: Path, excluded: Path | None = None) -> None:
    """Write the exclusion list of a report; what was under the name is replaced.

    Args:
        report: what was found.
        path: of the list.
        excluded: the list of what had been left out already, whose lines come first, so that the new list leaves out
            both. It may be of the same path.

    Raises:
        DataError: that list cannot be read any more.
        StorageError: the new one cannot be written.
    """
    from eyebright.storage import write_file

    try:
        lines = b"" if excluded is None else excluded.read_bytes()
    except OSError as error:
        raise DataError(f"{excluded}: the list of exclusions cannot be read: {error.strerror or error}.") from error
    between = b"\n" if lines and not lines.endswith(b"\n") else b""
    write_file(path, lines + between + report.exclusion_list().encode(errors="surrogateescape"))


def _one_line(text: str) -> str:
    return " ".join(text.split())
