"""A hook of MkDocs: what the theme's pages lack for those who hear them; tests/docs/test_site.py asks axe."""
# ruff: noqa: INP001 - a script that MkDocs loads by its path

from __future__ import annotations

from typing import Any

_DIALOG = '<div class="md-search" data-md-component="search" role="dialog">'


def on_post_page(output: str, **_: Any) -> str:
    """Give the search's dialog a name."""
    return output.replace(_DIALOG, _DIALOG.replace(">", ' aria-label="Search">'))
