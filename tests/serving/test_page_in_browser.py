"""The web page as a person uses it: a real browser, served by the real server, and exported and served as files."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, JSHandle, Page, expect

from eyebright import Classifier, load_dataset, preset_settings, train
from eyebright.cli import app
from eyebright.data.decode import decode_image
from eyebright.errors import StorageError
from eyebright.picture_options import Fit
from eyebright.serving.web_runtime import web_runtime

pytestmark = pytest.mark.xdist_group("page")  # its runs are trained once, where tests run in several processes

NAMES = ("<script>alert(1)</script>", "שלום", "a" * 200, "{{ 7 * 7 }}", "four", "five", "six", "seven", "eight", "nine")
SIZES = [  # of pictures, and of the images that they are to become: columns first, rows first, larger, smaller
    ((1, 1), (28, 20, 1)),
    ((3, 200), (32, 32, 3)),
    ((31, 33), (32, 32, 3)),
    ((97, 600), (224, 224, 3)),
    ((700, 301), (32, 32, 3)),
    ((300, 200), (28, 20, 1)),
    ((5, 4), (5, 4, 3)),
    ((2200, 1000), (8, 8, 1)),  # in more bands than one
]
WINDOW = {"width": 1200, "height": 900}
PHONE = {"width": 375, "height": 740}


class Shown(NamedTuple):
    """A classifier behind a page.

    Attributes:
        classifier: that answers.
        min_confidence: below which it abstains.
        sure: the PNG of an image that it answers.
        unsure: of one for which it abstains.
        sure_image: uint8 [8, 8, 1], the pixels of the first.
    """

    classifier: Classifier
    min_confidence: float
    sure: bytes
    unsure: bytes
    sure_image: NDArray[np.uint8]


def png(image: NDArray[np.uint8]) -> bytes:
    written = io.BytesIO()
    Image.fromarray(image.squeeze()).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of digits whose classes have hostile names."""
    folder = tmp_path_factory.mktemp("page")
    digits = load_dataset("digits")
    np.savez(folder / "data.npz", images=digits.images, labels=digits.labels, class_names=NAMES)
    settings = preset_settings("default", model="fc", data=str(folder / "data.npz"), max_steps=120, batch_size=50)
    train(settings, load_dataset(folder / "data.npz"), folder / "run")
    command = ["package", str(folder / "run"), "-o", str(folder / "digits.eyebright")]
    app(command, standalone_mode=False)
    return folder / "digits.eyebright"


@pytest.fixture(scope="module")
def shown(artefact: Path) -> Shown:
    classifier, images = Classifier.load(artefact), load_dataset("digits").images[:500]
    confidences = classifier.predict(images).max(axis=1)
    order = np.argsort(confidences)
    middle = float(confidences[order[249:251]].mean())
    sure, unsure = images[order[-1]], images[order[0]]
    return Shown(classifier, middle, png(sure), png(unsure), sure)


@pytest.fixture(scope="module")
def folder(artefact: Path, shown: Shown) -> Path:
    """The exported page."""
    try:
        web_runtime()
    except StorageError as error:
        pytest.skip(str(error))
    command = ["export", str(artefact), "--format", "web", "--min-confidence", str(shown.min_confidence)]
    app(command, standalone_mode=False)
    return artefact.parent / "digits-web"


@pytest.fixture(scope="module")
def exported(folder: Path) -> Iterator[str]:
    with serving(folder) as url:
        yield url


@pytest.fixture(scope="module")
def served(artefact: Path, shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "eyebright", "serve", str(artefact), "--port", str(port)]
    command += ["--min-confidence", str(shown.min_confidence)]
    log, url = tmp_path_factory.mktemp("server") / "log", f"http://127.0.0.1:{port}/"
    with log.open("wb") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            wait_for(f"{url}readyz", process, log)
            yield url
        finally:
            process.terminate()


class serving:  # noqa: N801 - used as a function
    """A folder over HTTP, as `python -m http.server` serves it."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not begin to answer")


@pytest.fixture(params=["served", "exported"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=WINDOW)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    yield from opened(context, url)


def opened(context: BrowserContext, url: str) -> Iterator[Page]:
    """The page, ready for pictures. An error, a dialog, a violation of its policy or a request to elsewhere fails."""
    page = context.new_page()
    wrong: list[str] = []
    expected = ("status of 422", "ERR_INTERNET_DISCONNECTED")  # a browser tells of each answer that is no success
    told = lambda text: None if any(one in text for one in expected) else wrong.append(text)  # noqa: E731
    page.on("console", lambda message: told(message.text))
    page.on("pageerror", lambda error: told(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda sent: None if sent.url.startswith((url, "blob:", "data:")) else wrong.append(sent.url))
    page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective))")
    page.goto(url)
    expect(page.locator("#pictures")).to_be_visible()
    yield page
    assert not wrong


def picked(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def transfer(page: Page, name: str, content: bytes) -> JSHandle:
    """What a drop of a file carries."""
    return page.evaluate_handle(
        """([name, data]) => {
          const carried = new DataTransfer();
          const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
          carried.items.add(new File([bytes], name, { type: "image/png" }));
          return carried;
        }""",
        [name, base64.b64encode(content).decode()],
    )


def answered(page: Page, count: int) -> None:
    expect(page.locator(".card")).to_have_count(count)
    expect(page.locator(".card[aria-busy]")).to_have_count(0)


def test_a_dropped_picture_is_classified(page: Page, shown: Shown) -> None:
    name = "<img src=x onerror=alert(2)>.png"
    page.dispatch_event("body", "drop", {"dataTransfer": transfer(page, name, shown.sure)})
    answered(page, 1)
    probabilities = shown.classifier.predict(shown.sure_image[None])[0]
    expect(page.locator(".card h3")).to_have_text(NAMES[probabilities.argmax()])
    rows = page.locator(".bars li")
    expect(rows).to_have_count(5)
    expect(rows.locator("bdi")).to_have_text([NAMES[i] for i in np.argsort(-probabilities, kind="stable")[:5]])
    share = float(rows.locator(".bar").first.evaluate("bar => bar.style.getPropertyValue('--share')"))
    assert abs(share - probabilities.max()) <= 1e-4
    expect(page.locator("figcaption")).to_have_text(name)
    expect(page.locator(".picture")).not_to_have_js_property("naturalWidth", 0)
    expect(page.locator("#status")).to_contain_text(f"{name}: {NAMES[probabilities.argmax()]}")


def test_a_pasted_picture_is_classified(page: Page, context: BrowserContext, shown: Shown) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async (data) => {
          const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
          const blob = new Blob([bytes], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        base64.b64encode(shown.sure).decode(),
    )
    page.keyboard.press("Control+V")
    answered(page, 1)
    expect(page.locator(".card h3")).to_have_text(NAMES[shown.classifier.predict(shown.sure_image[None])[0].argmax()])


def test_what_holds_no_picture_is_refused_in_words(page: Page) -> None:
    page.evaluate("navigator.clipboard && document.body.dispatchEvent(new ClipboardEvent('paste', "
                  "{ clipboardData: new DataTransfer(), bubbles: true }))")  # fmt: skip
    expect(page.locator("#trouble")).to_have_text("The clipboard holds no picture.")
    empty = page.evaluate_handle("new DataTransfer()")
    page.dispatch_event("#pictures", "drop", {"dataTransfer": empty})
    expect(page.locator("#trouble")).to_contain_text("That was no picture file.")
    expect(page.locator(".card")).to_have_count(0)


def test_abstaining_unlike_and_unreadable_pictures_are_told_in_words(page: Page, shown: Shown) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    files = [("unsure.png", shown.unsure), ("noise.png", png(noise)), ("no.png", b"no picture")]
    page.set_input_files("#choose", [picked(*file) for file in files])
    answered(page, 3)
    unsure, unlike, unreadable = page.locator(".card").all()
    expect(unsure.locator("h3")).to_have_text("Not sure")
    expect(unsure.locator(".unsure")).to_contain_text("Its best guess is")
    expect(unlike.locator(".unlike")).to_be_visible()
    expect(unlike.locator(".unlike")).to_contain_text("unlike anything it was trained on")
    expect(unreadable.locator("h3")).to_have_text("No answer")
    expect(unreadable.locator("figure")).to_contain_text("The browser cannot show this picture.")
    page.set_input_files("#choose", [picked(f"{number}.png", shown.sure) for number in range(12)])
    answered(page, 15)
    expect(page.locator("#status")).to_have_text("12 pictures: 12 answered.")
    expect(page.locator("figcaption").first).to_have_text("0.png")  # the newest come first
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#choose")).to_be_focused()


def test_it_tells_what_it_was_trained_on_and_how_good_it_is(page: Page, artefact: Path) -> None:
    results = json.loads((artefact.parent / "run" / "results.json").read_text())
    expect(page).to_have_title("digits")
    about = page.locator("#about")
    expect(about).to_contain_text(f"{100 * results['test_accuracy']:.1f}%")
    low, high = results["test_accuracy_ci95"]
    expect(about).to_contain_text(f"(95% interval: {100 * low:.1f}% to {100 * high:.1f}%)")
    expect(about).to_contain_text("less than")
    expect(about).to_contain_text(f"{results['test_images']} pictures")
    expect(page.locator("#classes")).to_contain_text(NAMES[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_use_it_on_a_phone(page: Page, shown: Shown, scheme: Any) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)
    noise = np.random.default_rng(0).integers(0, 256, (30, 400, 3), np.uint8)
    files = [("sure.png", shown.sure), ("noise.png", png(noise)), ("w" * 200, shown.unsure), ("no.png", b"")]
    page.set_input_files("#choose", [picked(*file) for file in files])
    answered(page, 4)
    page.evaluate("document.querySelector('#trouble').hidden = false")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing lies beside the screen
    violations = Axe().run(page).response["violations"]
    assert [one["id"] for one in violations if one["impact"] in ("serious", "critical")] == []
    page.keyboard.press("Tab")
    page.evaluate("document.querySelector('#choose').focus()")
    assert page.locator("label.button").first.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_the_server_explains_its_answer(context: BrowserContext, served: str, shown: Shown) -> None:
    for page in opened(context, served):
        page.set_input_files("#choose", [picked("sure.png", shown.sure)])
        explain = page.locator(".explain")
        explain.click()
        heat = page.locator(".heat")
        expect(heat).to_be_visible()
        expect(heat).not_to_have_js_property("naturalWidth", 0)
        expect(explain).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Enter")
        expect(heat).to_be_hidden()


def test_without_the_server_it_says_so_and_tries_again(context: BrowserContext, served: str, shown: Shown) -> None:
    for page in opened(context, served):
        context.set_offline(True)
        page.set_input_files("#choose", [picked("sure.png", shown.sure)])
        answered(page, 1)
        expect(page.locator(".unsure")).to_contain_text("The server does not answer.")
        context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".card h3")).not_to_have_text("No answer")
        answered(page, 1)


def test_the_exported_page_needs_no_network_once_it_is_open(
    context: BrowserContext, exported: str, shown: Shown
) -> None:
    for page in opened(context, exported):
        context.set_offline(True)
        page.set_input_files("#choose", [picked("sure.png", shown.sure)])
        answered(page, 1)
        expect(page.locator(".bars li")).to_have_count(5)


def test_the_browser_answers_what_the_classifier_does(context: BrowserContext, exported: str, shown: Shown) -> None:
    images = load_dataset("digits").images[500:550]
    for page in opened(context, exported):
        found = [in_browser(page, png(image)) for image in images]
        expected = shown.classifier.predict(images)
        assert np.abs(np.array(found) - expected).max() <= 1e-4


def in_browser(page: Page, content: bytes) -> list[float]:
    found: list[float] = page.evaluate(
        """async (data) => {
          const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
          const { computed } = await import("./asking.js");
          return [...(await computed(new Blob([bytes]))).probabilities];
        }""",
        base64.b64encode(content).decode(),
    )
    return found


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_the_browser_resizes_to_the_bit_as_the_classifier_does(
    context: BrowserContext, exported: str, fit: Fit
) -> None:
    random = np.random.default_rng(1)
    for page in opened(context, exported):
        for (height, width), shape in SIZES:
            content = png(random.integers(0, 256, (height, width, 3), np.uint8))
            expected = decode_image(content, shape, fit)
            assert resized(page, content, shape, fit) == expected.tobytes(), (height, width, shape)


def resized(page: Page, content: bytes, shape: tuple[int, int, int], fit: Fit) -> bytes:
    found: list[int] = page.evaluate(
        """async ([data, shape, fit]) => {
          const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
          const { imageOf } = await import("./resize.js");
          return [...imageOf(await createImageBitmap(new Blob([bytes])), shape, fit)];
        }""",
        [base64.b64encode(content).decode(), list(shape), fit],
    )
    return bytes(found)


def test_the_exported_page_answers_nothing_where_it_answers_wrongly(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    known = json.loads((folder / "classifier.json").read_text())
    known["golden"][2]["probabilities"].reverse()
    (tmp_path / "classifier.json").write_text(json.dumps(known))
    with serving(tmp_path) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#trouble")).to_contain_text("does not answer as it should")
        expect(page.locator("#pictures")).to_be_hidden()
        (tmp_path / "model.onnx").unlink()
        page.reload()
        expect(page.locator("#trouble")).to_contain_text("A part of this page is missing: model.onnx.")
        page.close()
