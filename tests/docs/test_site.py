"""The documentation's site: built strictly, its links followed, opened from disk in a real browser off the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import eyebright
from eyebright.augmentation import Augmentation
from eyebright.cli import app
from eyebright.presets import preset_names
from eyebright.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
SCREENS = [("light", 1280, 900), ("dark", 1280, 900), ("light", 375, 740)]


class Links(HTMLParser):
    """What a page names: anchors, links of people, and what the browser fetches by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attributes if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.fetched.append(values["href"])
        self.fetched += [values[name] for name in ("src", "srcset", "poster", "data") if name in values]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    code, said = build(ROOT, folder)
    assert code == 0, said
    assert not re.search("warning|error", said, re.IGNORECASE), said
    return folder


def build(root: Path, folder: Path) -> tuple[int, str]:
    """Build the site of a repository as `make docs` does; the exit code, and what was said."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {page: Links(page.read_text(encoding="utf-8")) for page in site.rglob("*.html") if page.name != "404.html"}


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    for source in (ROOT / "docs").rglob("*.md"):
        page = site / source.relative_to(ROOT / "docs").with_suffix(".html")
        assert (page.with_name("index.html") if source.stem == "README" else page).is_file(), source


def test_links_and_anchors_lead_somewhere(pages: dict[Path, Links]) -> None:
    followed = 0
    for page, found in pages.items():
        for link in [*found.links, *found.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), f"{page}: {link}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in pages[target].anchors, f"{page}: {link}"
            followed += 1
    assert followed > 1000


def test_nothing_is_fetched_from_another_host(site: Path, pages: dict[Path, Links]) -> None:
    for page, found in pages.items():
        for address in found.fetched:
            assert not urlsplit(address).netloc, f"{page}: {address}"
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"""(url\(|@import\s+)["']?(https?:)?//""", text), style


def test_the_reference_has_every_command_setting_preset_and_name(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f'id="eyebright-{name}"' in commands
    assert 'id="eyebright-cache-list"' in commands
    assert "<code>--learning-rate &lt;float&gt;</code>" in commands
    settings = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    for name in (Settings.model_fields.keys() - {"augmentation"}) | Augmentation.model_fields.keys():
        assert f"<td><code>{name}</code></td>" in settings
    for model, presets in preset_names().items():
        assert f'id="{model}"' in settings
        assert all(f"--model {model} --preset {preset}" in settings for preset in presets)
    names = Links((site / "reference" / "python.html").read_text(encoding="utf-8")).anchors
    assert {f"eyebright.{name}" for name in eyebright.__all__} <= names


def test_what_stands_in_for_the_lists_elsewhere_is_not_on_the_site(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<!-- made:" not in text
        assert "<blockquote>" not in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_links_lead_somewhere_where_the_code_is_hosted(source: Path) -> None:
    for link in re.findall(r"\]\(([^)\s:#]+)[)#]", source.read_text(encoding="utf-8")):
        assert (source.parent / link).exists(), link


def test_make_docs_is_strict() -> None:
    done = subprocess.run(["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True)
    command = next(line for line in done.stdout.splitlines() if "/mkdocs build" in line)
    assert "--strict" in command
    assert "quiet" not in command  # which would count no warnings


def test_what_leads_nowhere_fails_the_build_and_a_new_page_needs_no_entry(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for entry in ROOT.iterdir():
        if entry.name != "docs":
            (repository / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "docs", repository / "docs")
    links = ("serve.md#nowhere", "nowhere.md", "../../nowhere.md", "../../benchmarks/RESULTS.md#nowhere", "/absolute")
    text = "".join(f"[{number}]({link})\n" for number, link in enumerate(links))
    (repository / "docs" / "how-to" / "new-page.md").write_text(f"# New page\n\n{text}", encoding="utf-8")
    code, said = build(repository, tmp_path / "site")
    assert code
    warnings = [line for line in said.splitlines() if "WARNING" in line]
    assert len(warnings) == len(links), said
    assert all("how-to/new-page.md" in line for line in warnings)


@pytest.fixture(params=SCREENS, ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, site: Path) -> Iterator[Page]:
    """The front page, from disk, in a browser that is off the network; any error or request elsewhere fails."""
    scheme, width, height = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, offline=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(("file:", "data:")) else wrong.append(sent.url))
    page.goto((site / "index.html").as_uri())
    yield page
    context.close()
    assert not wrong


def test_the_front_page_shows_its_picture_and_the_search_finds_a_word(page: Page) -> None:
    expect(page.locator("article img")).not_to_have_js_property("naturalWidth", 0)
    if page.viewport_size and page.viewport_size["width"] < 1000:
        page.locator("label.md-header__button[for=__search]").click()
    page.get_by_role("textbox", name="Search").press_sequentially("Philox")
    found = page.locator(".md-search-result__link[href*='decisions/0003-numpys-random-words.html?h=philox']").first
    expect(found).to_be_visible()
    found.click()
    expect(page.locator("article mark").first).to_have_text(re.compile("philox", re.IGNORECASE))


@pytest.mark.parametrize("name", ["index", "reference/settings", "explanation/accuracy-a-second", "how-to/transfer"])
def test_axe_finds_nothing_serious(page: Page, site: Path, name: str) -> None:
    page.goto((site / f"{name}.html").as_uri())
    found = Axe().run(page, options={"preload": False}).response["violations"]  # it would fetch style sheets anew
    serious = {
        violation["id"]: violation["nodes"] for violation in found if violation["impact"] in ("serious", "critical")
    }
    assert not serious
