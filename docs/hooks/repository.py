"""A hook of MkDocs: files of the repository that a page links to become pages of the site, and links lead to them.

So a link such as `../../benchmarks/RESULTS.md` works where the code is hosted and on the site alike, without a network.
"""
# ruff: noqa: INP001 - a script that MkDocs loads by its path

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?<=\]\()([^)\s:#]+)(?=[)#])")  # the path of [text](path#anchor); addresses have a colon
_FOLDER = "project"  # of the site, where such files are
_LANGUAGES = {".conf": "nginx", ".yaml": "yaml", ".toml": "toml", ".py": "python", ".service": "ini"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to, those that these link to, and so on."""
    root = _root(config)
    waiting = [(_repository_path(file.src_uri), file.content_string) for file in files.documentation_pages()]
    seen = {path for path, _ in waiting}
    while waiting:
        source, text = waiting.pop()
        for link in _LINK.findall(text):
            target = _target(root, source, link)
            if target and target not in seen and not target.startswith("docs/"):
                seen.add(target)
                page = _as_page(root / target, target)
                where, unlisted = _site_path(target), InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, where, content=page, inclusion=unlisted))
                if target.endswith(".md") or (root / target).is_dir():  # not what is in code
                    waiting.append((target, page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - the hook's
    """Turn links into the repository to pages of the site."""
    root, here = _root(config), page.file.src_uri
    source = _repository_path(here)

    def on_site(match: re.Match[str]) -> str:
        target = _target(root, source, match[1])
        if target is None or (target.startswith("docs/") and source.startswith("docs/")):
            return match[1]
        return posixpath.relpath(_site_path(target), posixpath.dirname(here))

    return _LINK.sub(on_site, markdown)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent


def _repository_path(site: str) -> str:
    """Where a page's source is in the repository, but for the ending of what is no Markdown there."""
    return site.removeprefix(f"{_FOLDER}/") if site.startswith(f"{_FOLDER}/") else f"docs/{site}"


def _site_path(path: str) -> str:
    """Where a file of the repository is among the site's sources: text that is no Markdown gets a page, too."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{_FOLDER}/{path if path.endswith('.md') else f'{path}.md'}"


def _target(root: Path, source: str, link: str) -> str | None:
    """The file of the repository that a link in another one leads to, or None where there is no such file."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return path if not path.startswith(".") and (root / path).exists() else None


def _as_page(file: Path, path: str) -> str:
    if file.is_dir():
        names = sorted(entry.name for entry in file.iterdir() if entry.is_file())
        return f"# {path}/\n\n" + "".join(f"- [{name}]({file.name}/{name})\n" for name in names)
    text = file.read_text(encoding="utf-8")
    return text if file.suffix == ".md" else f"# {path}\n\n````{_LANGUAGES.get(file.suffix, 'text')}\n{text}````\n"
