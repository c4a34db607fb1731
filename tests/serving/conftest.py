"""Real servers on loopback, in processes of their own, with a small made classifier: no training, no TensorFlow."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from eyebright.architecture import Architecture
from eyebright.artefact import GRAPH, artefact_bytes
from eyebright.classifier_parts import Saved
from eyebright.golden import GOLDEN, GoldenImages
from eyebright.golden_pictures import GOLDEN_PICTURES, GoldenPictures, decoded
from eyebright.held_out import HeldOut
from eyebright.known_images import KnownImages
from eyebright.metrics.calibration import Calibration
from eyebright.packaging.made_pictures import made_pictures

SHAPE, NAMES = (6, 5, 3), ("ant", "bee", "cow", "ångström ☃")
SERVE = (sys.executable, "-m", "eyebright", "serve")
_SECONDS = 60.0  # within which a server must have started: the machine may be busy


class Made(NamedTuple):
    """A linear classifier, and what it must answer by NumPy alone."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        logits = self._logits(images)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        return (images.reshape(len(images), -1) / 255) @ self.weights.astype(float) + self.bias

    def artefact(self, names: tuple[str, ...] = NAMES) -> bytes:
        rng = np.random.default_rng(7)
        images = rng.integers(0, 256, (400, *SHAPE)).astype(np.uint8)
        logits = self._logits(images).astype(np.float32)
        labels = np.where(rng.random(400) < 0.9, logits.argmax(axis=1), 0).astype(np.int32)
        directions = rng.normal(size=(len(NAMES), int(np.prod(SHAPE)))).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        weights = {
            "logits/kernel": self.weights,
            "logits/bias": self.bias,
            "standardize/mean": np.zeros(1, np.float32),
            "standardize/standard_deviation": np.full(1, 255, np.float32),
        }
        saved = Saved(
            Architecture(model="softmax", image_shape=SHAPE, classes=len(NAMES), preprocessing="per-channel"),
            names, weights, "none", "crop", Calibration(),
            HeldOut(labels, logits, np.arange(400, dtype=np.uint64)),
            KnownImages(directions, np.linspace(0.5, 1.5, 400)),
        )  # fmt: skip
        golden = GoldenImages(images[:4], self.probabilities(images[:4]).astype(np.float32))
        files = made_pictures(SHAPE)
        pictures = self.probabilities(decoded(files, SHAPE, "crop")).astype(np.float32)
        facts = {
            "data": {"name": "made", "training_images": 1000},
            "test": {"accuracy": 0.875, "accuracy_ci95": [0.85, 0.9], "images": 800},
        }
        parts = {**saved.to_parts(), GRAPH: self._graph(), GOLDEN: golden.to_part()}
        parts[GOLDEN_PICTURES] = GoldenPictures(files, pictures, PIL.__version__).to_part()
        return artefact_bytes({**parts, "about.json": json.dumps(facts).encode()}, {"eyebright": "0.1.0"})

    def _graph(self) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        constants = {
            "W": self.weights, "b": self.bias, "flat": np.array([-1, int(np.prod(SHAPE))]), "most": np.float32(255),
        }  # fmt: skip
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["floats", "flat"], ["pixels"]),
            helper.make_node("Div", ["pixels", "most"], ["features"]),
            helper.make_node("MatMul", ["features", "W"], ["products"]),
            helper.make_node("Add", ["products", "b"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
        shapes = {"probabilities": len(NAMES), "logits": len(NAMES), "features": int(np.prod(SHAPE))}
        graph = helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *SHAPE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in shapes.items()],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        return model.SerializeToString()


@pytest.fixture(scope="session")
def made() -> Callable[[int], Made]:
    """A made classifier of a seed."""

    def of(seed: int) -> Made:
        rng = np.random.default_rng(seed)
        size = int(np.prod(SHAPE))
        return Made(rng.normal(size=(size, len(NAMES))).astype(np.float32), rng.normal(size=4).astype(np.float32))

    return of


@pytest.fixture(scope="session")
def artefact(made: Callable[[int], Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the classifier of seed 0; tests read it, and change a copy."""
    path = tmp_path_factory.mktemp("artefact") / "made.eyebright"
    path.write_bytes(made(0).artefact())
    return path


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Twelve images of the classifier's size."""
    return np.random.default_rng(1).integers(0, 256, (12, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="session")
def pngs(images: NDArray[np.uint8]) -> list[bytes]:
    """The same as files."""
    return [png(image) for image in images]


def png(image: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class Server:
    """A server in a process of its own."""

    def __init__(
        self, *arguments: object, command: Sequence[str] = SERVE, environment: dict[str, str] | None = None
    ) -> None:
        command = [*command, *map(str, arguments), "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            env={**os.environ, **(environment or {})}, start_new_session=True,
        )  # fmt: skip
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        match = re.search(r"http://\S+?:(\d+)", said)
        if match is None:
            self.process.wait(_SECONDS)
            self._reader.join(_SECONDS)
        assert match, "".join(self.log)
        self.port = int(match[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.wait_until_ready()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def wait_until_ready(self) -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            try:
                if requests.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                assert self.process.poll() is None, "".join(self.log)
            time.sleep(0.05)
        raise AssertionError("".join(self.log))

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=_SECONDS, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", timeout=_SECONDS, **options)

    def predict(self, *pictures: bytes, **options: Any) -> requests.Response:
        """Ask for pictures, as a form."""
        files = [("images", (f"{number}.png", picture)) for number, picture in enumerate(pictures)]
        return self.post("/predict", files=files, **options)

    def metric(self, line: str) -> float:
        """A figure of /metrics, by its name and labels as they stand there."""
        found = [text for text in self.get("/metrics").text.splitlines() if text.startswith(f"{line} ")]
        return float(found[0].split()[-1]) if found else 0.0

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log's entries whose event begins so."""
        return [entry for entry in map(json.loads, list(self.log)) if entry["event"].startswith(event)]

    def until(self, condition: Callable[[], Any]) -> Any:
        """What a condition gives, once that is something."""
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError("it did not come about:\n" + "".join(self.log))

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_SECONDS)
        self._reader.join(_SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code


@pytest.fixture(scope="session")
def server_class() -> type[Server]:
    """For fixtures that start a server of their own."""
    return Server


@pytest.fixture(scope="session")
def served(artefact: Path) -> Iterator[Server]:
    """A server that tests ask and do not disturb."""
    server = Server(
        artefact, "--receive-seconds", "2", "--max-body", "1", "--max-images", "8", "--max-pixels", "1000000"
    )
    yield server
    assert server.stop() == 0, "".join(server.log)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start servers of one's own; they end with the test."""
    started: list[Server] = []

    def start(*arguments: object, **options: Any) -> Server:
        started.append(Server(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)  # its workers, too: they hold the pipes that are read here
        server.stop()
