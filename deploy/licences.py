"""The licences of what a CycloneDX file lists, a line a package, on standard output. `make sbom` runs it.

    python deploy/licences.py dist/sbom.cdx.json

A package without one ends it with exit code 1: somebody has to look what its licence is.
"""
# ruff: noqa: INP001, T201 - a script, which prints

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def licence(component: dict[str, Any]) -> str:
    """The licence of a component as an SPDX expression or, where there is none, in the words of its authors."""
    given = component.get("licenses", [])
    expressions = [entry["expression"] for entry in given if "expression" in entry]
    licences = [entry["license"] for entry in given if "license" in entry]
    ids = [one["id"] for one in licences if "id" in one]
    return " AND ".join(sorted(expressions + ids)) or ", ".join(sorted(map(_words, licences)))


def _words(named: dict[str, Any]) -> str:
    """What a licence without an identifier is called: its text's first line, or the end of a classifier."""
    text = named.get("text", {}).get("content", "").strip()
    return text.splitlines()[0] if text else named["name"].rpartition(" :: ")[2]


def main() -> None:
    """Print a line for each package."""
    components = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["components"]
    lines = {f"{one['name']} {one['version']}": licence(one) for one in components}
    for package, licences in sorted(lines.items()):
        print(f"{package}: {licences or 'none given'}")
    if unknown := [package for package, licences in lines.items() if not licences]:
        sys.exit(f"{sys.argv[1]}: no licence is given for {', '.join(unknown)}: look it up.")


if __name__ == "__main__":
    main()
