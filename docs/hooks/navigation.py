"""A hook of MkDocs: a folder in the navigation stands for its pages, so that a new page needs no entry of its own.

An entry `how-to/` is replaced by the pages below that folder that are named nowhere; of several such entries the one
with the longest name has a page. `./` has all that is left.
"""
# ruff: noqa: INP001 - a script that MkDocs loads by its path

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files, InclusionLevel


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the folders in the configuration's `nav`."""
    entries = list(_entries(config.nav))
    folders = list(filter(_is_folder, entries))
    pages = defaultdict[str, list[str]](list)
    for page in sorted(file.src_uri for file in files.documentation_pages(inclusion=InclusionLevel.is_in_nav)):
        homes = [folder for folder in folders if page.startswith(folder.removeprefix("./"))]
        if page not in entries and homes:
            pages[max(homes, key=lambda folder: len(folder.removeprefix("./")))].append(page)
    config.nav = _expanded(config.nav, pages)
    return files


def _entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for item in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _entries(item)


def _expanded(nav: Any, pages: dict[str, list[str]]) -> Any:
    if isinstance(nav, dict):
        return {title: _expanded(item, pages) for title, item in nav.items()}
    if isinstance(nav, list):
        parts = (pages.get(item, []) if _is_folder(item) else [_expanded(item, pages)] for item in nav)
        return list(chain.from_iterable(parts))
    return nav


def _is_folder(item: Any) -> bool:
    return isinstance(item, str) and item.endswith("/")
