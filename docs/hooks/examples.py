"""An extension of Griffe, which reads docstrings: their examples (`>>> …`) are code, where Markdown sees quotations."""
# ruff: noqa: INP001 - a script that Griffe loads by its path

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)  # up to an empty line


class Examples(griffe.Extension):
    """Fences the examples."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Each module, class, function and attribute, once it is read."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
