"""TensorBoard as a person sees it: real runs, the real command, a real browser that cannot reach the internet."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from eyebright import Run, load_dataset, preset_settings, train

pytestmark = pytest.mark.xdist_group("tensorboard")  # its runs are trained once, where tests run in several processes

_SECONDS = 60.0  # within which a page or a process must have done what a test waits for; as in conftest.py
_STEPS, _LOG_STEPS, _CHECKPOINT_STEPS = 120, 10, 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Two finished runs in one directory that differ in their settings, also in which settings they have."""
    directory, digits = tmp_path_factory.mktemp("runs"), load_dataset("digits")
    deep = preset_settings(
        "fast", model="fc", batch_size=64, max_steps=_STEPS, log_steps=_LOG_STEPS,
        checkpoint_steps=_CHECKPOINT_STEPS, clip_norm=1.0,
    )  # fmt: skip
    linear = preset_settings("default", model="softmax", batch_size=100, epochs=6, log_steps=_LOG_STEPS)
    return {name: train(settings, digits, directory / name) for name, settings in (("deep", deep), ("linear", linear))}


@contextlib.contextmanager
def tensorboard(directory: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`eyebright tensorboard` and the address that it says it listens on; whatever is left of it is ended."""
    command = [sys.executable, "-m", "eyebright", "tensorboard", str(directory), "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_until(lambda: address_in(log) is not None or process.poll() is not None, time.sleep)
        address = address_in(log)
        assert address, f"it ended with {process.returncode}: {log.read_text()}"
        yield process, address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def address_in(log: Path) -> str | None:
    found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
    return found and found[0]


def wait_until(happened: Callable[[], bool], sleep: Callable[[float], object], every: float = 0.05) -> None:
    deadline = time.monotonic() + _SECONDS
    while not happened():
        assert time.monotonic() < deadline, "took too long"
        sleep(every)


@pytest.fixture(scope="module")
def address(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tensorboard(runs["deep"].path.parent, tmp_path_factory.mktemp("log") / "log") as (_, address):
        wait_until(lambda: runs.keys() == runs_loaded_by(address), time.sleep)  # an open page asks for data only once
        yield address


def runs_loaded_by(address: str) -> set[str]:
    with urllib.request.urlopen(f"{address}data/plugin/scalars/tags", timeout=_SECONDS) as answer:
        return {run for run, tags in json.load(answer).items() if "test_accuracy" in tags}  # written last


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that must ask nothing of any server but TensorBoard's."""
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    page.set_default_timeout(_SECONDS * 1000)
    elsewhere: list[str] = []
    here = (address, "data:", "blob:")
    page.on("request", lambda sent: None if sent.url.startswith(here) else elsewhere.append(sent.url))
    yield page
    page.close()
    assert not elsewhere


def recorded_losses(run: Run) -> list[tuple[int, float]]:
    with (run.path / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row["loss"]]


def test_time_series_draws_each_runs_loss_and_names_its_last_value(
    page: Page, address: str, runs: dict[str, Run]
) -> None:
    page.goto(f"{address}?tagFilter=%5Eloss%24#timeseries")
    rows = page.locator("scalar-card tb-data-table-content-row")
    expect(rows).to_have_count(len(runs))
    headers = page.locator("scalar-card tb-data-table-header-cell").all_inner_texts()
    for row in rows.all():
        cells = dict(zip(headers, row.locator("tb-data-table-content-cell").all_inner_texts(), strict=True))
        step, loss = recorded_losses(runs[cells["Run"].strip()])[-1]
        assert int(cells["Step"]) == step
        assert float(cells["Value"]) == pytest.approx(loss, abs=1e-4)
        colour = row.locator(".row-circle span").evaluate("circle => getComputedStyle(circle).backgroundColor")
        assert_curve_falls(page, colour)


def assert_curve_falls(page: Page, colour: str) -> None:
    """The chart has a line of this colour that goes down."""
    chroma = chroma_of(np.array([float(part) for part in re.findall(r"\d+", colour)[:3]]))
    chart = page.locator("scalar-card .series-view").first

    def curve() -> NDArray[np.intp]:
        pixels = np.asarray(Image.open(io.BytesIO(chart.screenshot())).convert("RGB"), float)  # [H, W, 3]
        distances = np.linalg.norm(chroma_of(pixels) - chroma, axis=-1)  # of grey lines: the norm of the chroma
        return np.argwhere(distances < np.linalg.norm(chroma) / 2)  # [points, (y, x)]

    wait_until(lambda: len(curve()) > 0, page.wait_for_timeout, every=100)
    y, x = curve().T
    assert np.ptp(x) > 50
    assert y[x < np.quantile(x, 0.1)].mean() < y[x > np.quantile(x, 0.9)].mean() - 10


def chroma_of(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    return colours - colours.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("tag", "slices"),
    [
        ("logits", _STEPS // _LOG_STEPS),
        *[(f"weights/{layer}/kernel", 1 + _STEPS // _CHECKPOINT_STEPS) for layer in ("hidden_1", "logits")],
    ],
)
def test_histograms_show_the_logits_and_the_weights_over_the_steps(
    page: Page, address: str, tag: str, slices: int
) -> None:
    page.goto(f"{address}#histograms")
    cards = page.locator("tf-histogram-loader").filter(has_text=f"tag: {tag}")
    card = cards.filter(has_text="deep")
    expect(card.locator(".histogram")).to_have_count(slices)
    for outline in card.locator(".histogram path").all():
        wait_until(lambda outline=outline: heights_of(outline) > 3, page.wait_for_timeout, every=100)


def heights_of(outline: Locator) -> int:
    """How many different heights the corners of an outline have."""
    return len(set(re.findall(r",([\d.]+)", outline.get_attribute("d") or "")))


def test_graphs_show_the_network_that_opens_and_the_rest_of_a_step(page: Page, address: str) -> None:
    page.goto(f"{address}#graphs&run=deep")
    for name in ("images", "labels", "loss", "gradient", "optimizer", "accuracy"):
        expect(node(page, f"='{name}'")).to_be_visible()
    network = node(page, "^='fully_connected'")
    expect(network).to_have_count(1)
    network.dblclick()
    for layer in ("hidden_1", "hidden_2", "logits"):
        expect(node(page, f"*='/{layer}'")).to_be_visible()


def node(page: Page, name: str) -> Locator:
    return page.locator(f"g.node[data-name{name}]")


def test_images_show_training_images_and_the_first_layers_weights(page: Page, address: str) -> None:
    page.goto(f"{address}#images")
    pictures = page.locator("tf-image-loader img")
    expect(pictures).to_have_count(4)  # two of each run
    for picture in pictures.all():
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    images = load_dataset("digits").images[..., 0]
    for number, height in ((0, 4), (1, 4), (2, 8), (3, 2)):  # rows of pictures: 32 examples, twice; 64 and 10 units
        shown = page.request.get(pictures.nth(number).evaluate("picture => picture.src")).body()
        grid = np.asarray(Image.open(io.BytesIO(shown)).convert("L"))
        assert grid.shape == (9 * height, 9 * 8)  # each 8 × 8 and a line that keeps it apart
        if height == 4:
            tiles = grid.reshape(height, 9, 8, 9).swapaxes(1, 2)[..., :8, :8].reshape(-1, 8, 8)
            assert all((images == tile).all(axis=(1, 2)).any() for tile in tiles)
        assert grid[:8, :8].std() > 30


def test_hparams_compare_all_runs_by_their_settings_and_test_accuracy(
    page: Page, address: str, runs: dict[str, Run]
) -> None:
    page.goto(f"{address}#hparams")
    choices = page.locator("tf-hparams-query-pane")
    # Of these, one run alone has `epochs`, and the other alone `max_steps` and `clip_norm`.
    for name in ("epochs", "max_steps", "clip_norm", "learning_rate", "model", "test_accuracy"):
        expect(choices.get_by_text(name, exact=True).first).to_be_attached()
    for name in ("deep", "linear"):
        assert pytest.approx(runs[name].results["test_accuracy"], rel=1e-4) in numbers_in_row(page, name)
    choices.locator("vaadin-checkbox, paper-checkbox").filter(has_text="batch_size").first.click()
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    for shown in ("batch_size", "64.000", "100.00"):
        expect(cells.get_by_text(shown, exact=True)).to_have_count(1)


def test_hparams_of_a_single_run_show_its_test_accuracy(browser: Browser, runs: dict[str, Run], tmp_path: Path) -> None:
    with tensorboard(runs["deep"].path, tmp_path / "log") as (_, address):
        wait_until(lambda: runs_loaded_by(address) == {"."}, time.sleep)
        page = browser.new_page()
        page.goto(f"{address}#hparams")
        assert pytest.approx(runs["deep"].results["test_accuracy"], rel=1e-4) in numbers_in_row(page, ".")
        page.close()


def numbers_in_row(page: Page, run: str) -> list[float]:
    """The numbers that the table of hyperparameters shows of a run."""
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    expect(cells.filter(has_text="test_accuracy")).to_have_count(1)
    expect(cells.filter(has_text=re.compile(rf"^\s*{re.escape(run)}\s*$"))).to_have_count(1)
    texts = [text.strip() for text in cells.all_inner_texts()]
    row = texts[texts.index(run) :][:9]  # its name, a box to tick, five settings, a hidden cell, a figure
    return [float(text) for text in row if re.fullmatch(r"\d[\d.]*", text)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_all_that_it_started(
    number: signal.Signals, runs: dict[str, Run], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with tensorboard(runs["deep"].path.parent, log) as (process, address):
        urllib.request.urlopen(address, timeout=_SECONDS).close()
        process.send_signal(number)
        assert process.wait(timeout=_SECONDS) in (0, 128 + number)
        wait_until(lambda: not answers(address), time.sleep)
        printed = log.read_text()
    assert "Traceback" not in printed
    assert "oneDNN" not in printed  # what TensorFlow prints, which has no part in this


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=_SECONDS).close()
    except OSError:
        return False
    return True
