"""A report as a person sees it: a real run, the real command, a real browser without any network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from eyebright import load_dataset, preset_settings, train
from eyebright.cli import app

pytestmark = pytest.mark.xdist_group("report")  # its runs are trained once, where tests run in several processes

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "שלום עולם",
    "قطة",
    "'; alert(4); //",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "$\\alpha$ \\u003c",
    "a" * 200,
)
_CHARTS = 4 + 8  # loss, accuracy, reliability, risk; a kind of worse pictures each


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, with all its sections, of a run on digits whose classes have hostile names."""
    folder = tmp_path_factory.mktemp("report")
    digits = load_dataset("digits")
    path = folder / "digits.npz"
    np.savez(path, images=digits.images, labels=digits.labels, class_names=HOSTILE)
    settings = preset_settings("default", model="softmax", data=str(path), max_steps=60, batch_size=50, log_steps=10)
    run, other = folder / "<b onclick=alert(5)>run", folder / "other & run"
    train(settings, load_dataset(path), run)
    train(settings.model_copy(update={"seed": 1}), load_dataset(path), other)
    app(["report", str(run), "--compare", str(other), "--robustness"], standalone_mode=False)
    return run / "report.html"


@pytest.fixture(params=[("light", 1200, 900), ("dark", 1200, 900), ("light", 360, 740), ("dark", 360, 740)], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    """The report in a browser that is off the network; any error, dialog or request but the file itself fails."""
    scheme, width, height = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, offline=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda sent: None if sent.url.startswith(("file:", "data:")) else wrong.append(sent.url))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert not wrong


def test_the_report_is_drawn_and_shows_hostile_names_as_text(page: Page, report: Path) -> None:
    assert report.stat().st_size < 3_000_000
    charts = page.locator("svg.chart")
    expect(charts).to_have_count(_CHARTS)
    for chart in charts.all():
        box = chart.bounding_box()
        assert box
        assert min(box["width"], box["height"]) > 100
        assert chart.get_attribute("aria-label")
        lines = chart.locator("path[style*='var(--series-0)']")
        assert max(lines.evaluate_all("all => all.map(one => one.getBBox().width)")) > 50
    pictures = page.locator("#mistakes img")
    expect(pictures).to_have_count(24)  # the top losses; none of a cell yet
    for picture in pictures.all():
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    names = page.locator(".confusion tbody th").all_text_contents()
    assert tuple(names) == HOSTILE
    assert page.title().startswith("Report of <b onclick")
    assert page.locator("script:not([type])").count() == 1


def test_a_cell_shows_its_pictures_by_mouse_and_by_keyboard(page: Page) -> None:
    buttons = page.locator(".confusion button")
    title, pictures = page.locator("#chosen-title"), page.locator("#chosen-pictures img")
    right = page.locator(".confusion td.right button").first
    right.click()
    assert_shown(page, int(right.inner_text()), f"{HOSTILE[0]} named rightly: ")
    wrong = page.locator(".confusion td.wrong button").first
    wrong.focus()
    page.keyboard.press("Enter")
    label, taken = map(int, (wrong.get_attribute("data-cell") or "").split("-"))
    assert_shown(page, int(wrong.inner_text()), f"{HOSTILE[label]} taken for {HOSTILE[taken]}: ")
    expect(page.locator("button[aria-pressed=true]")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(wrong).to_have_attribute("aria-pressed", "false")
    assert buttons.count() > 10
    expect(title).to_have_attribute("role", "status")
    assert pictures.count() > 0


def assert_shown(page: Page, count: int, title: str) -> None:
    pictures = page.locator("#chosen-pictures img")
    shown = min(count, 24)
    expect(page.locator("#chosen-title")).to_have_text(f"{title}{shown} of {count} pictures, the worst first")
    expect(pictures).to_have_count(shown)
    for picture in pictures.all():
        expect(picture).not_to_have_js_property("naturalWidth", 0)


def test_anyone_can_read_it(page: Page) -> None:
    page.locator(".confusion button").first.click()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing lies beside the screen
    violations = Axe().run(page).response["violations"]
    assert [one["id"] for one in violations if one["impact"] in ("serious", "critical")] == []


def test_it_prints_dark_on_white(page: Page) -> None:
    page.emulate_media(media="print")
    colours = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert colours == ["rgb(27, 31, 36)", "rgb(255, 255, 255)"]
    expect(page.locator("nav")).to_be_hidden()
    assert page.pdf().startswith(b"%PDF")
