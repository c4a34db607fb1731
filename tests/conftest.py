"""What several parts of the suite share: the real CIFAR-10, shapes, settings files, a browser, an S3 server."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import eyebright.cli

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPOSITORY = Path(__file__).resolve().parents[1]
ARCHIVE = REPOSITORY.parent / "shared" / "data" / "cifar-10-binary.tar.xz"
DIRECTORY = "cifar-10-batches-bin"
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt")
SHAPES = [(32, 32, 3), (28, 28, 1), (7, 5, 3), (8, 8, 1), (2, 9, 1), (1, 1, 3)]  # the sizes and channels that matter
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no way to the internet
]  # fmt: skip
_SECONDS = 60.0  # within which a page must have done what a test waits for


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Decoded pictures are kept for one test alone."""
    directory = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(directory))
    return directory


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def image_shape(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return request.param


@pytest.fixture
def toml(tmp_path: Path) -> Callable[..., Path]:
    """Write a settings file."""

    def write(text: str, name: str = "my.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


_OWN_PROCESS = {"tensorboard", "--backend", "--ray", "--workers"}


class Answer(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run `eyebright` with these arguments in this process, which has TensorFlow already."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["eyebright", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            eyebright.cli.main()
        return Answer(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def page_command(request: pytest.FixtureRequest, command: Callable[..., Answer]) -> Callable[[list[str]], None]:
    """Run a command of a page in this process, which has TensorFlow already, or in its own where it needs that."""

    def run(arguments: list[str]) -> None:
        assert arguments[0] == "eyebright"
        if _OWN_PROCESS & set(arguments):
            request.module.runner.run_command(arguments)
            return
        answer = command(*arguments[1:])
        assert answer.code == 0, f"{arguments}: {answer.err}"

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, without a window, that cannot reach the internet."""
    from playwright.sync_api import expect, sync_playwright

    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        pytest.skip(f"no browser is here (Debian: apt install chromium): looked for {', '.join(_CHROMIUM)}")
    expect.set_options(timeout=_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


class S3(NamedTuple):
    """A running server.

    Attributes:
        endpoint: its address.
        bucket: the URL of a bucket that is there.
    """

    endpoint: str
    bucket: str

    def deny(self) -> None:
        """From now on nobody may do anything."""
        self.ask("/moto-api/reset-auth", b"0")

    def ask(self, path: str, content: bytes) -> None:
        """Tell the server itself something."""
        request = urllib.request.Request(self.endpoint + path, content, {"Content-Type": "text/plain"})
        # By no proxy: urlopen keeps the one that it found first, be it that of another test.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            answer.read()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Moto's server: real HTTP, S3's protocol."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    use_endpoint(monkeypatch, endpoint)
    running = S3(endpoint, "s3://bucket")
    running.ask("/moto-api/reset", b"")  # what it has is this process's
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    client.close()
    try:
        yield running
    finally:
        running.ask("/moto-api/reset-auth", b"inf")
        server.stop()


def use_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let S3 be at this address, with credentials of no worth."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    values = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def cifar10_path() -> Path:
    """The directory `cifar-10-batches-bin` with the whole of CIFAR-10.

    It is EYEBRIGHT_TEST_CIFAR10 where that is set; else the archive beside the repository, unpacked once for all
    runs of the suite.
    """
    if from_environment := os.environ.get("EYEBRIGHT_TEST_CIFAR10"):
        return Path(from_environment)
    if not ARCHIVE.is_file():
        pytest.skip(f"CIFAR-10 is not here: no EYEBRIGHT_TEST_CIFAR10 is set, and there is no {ARCHIVE}")
    expected = _recorded_sha256(ARCHIVE)
    cache = Path(tempfile.gettempdir()) / f"eyebright-tests-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    if cache.stat().st_uid != os.getuid():
        pytest.skip(f"{cache} belongs to another user")
    unpacked = cache / expected[:16]
    if not unpacked.exists():
        with ARCHIVE.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == expected, f"{ARCHIVE} is damaged"
        _unpack(ARCHIVE, unpacked)
    return unpacked / DIRECTORY


def _recorded_sha256(archive: Path) -> str:
    for line in (archive.parent / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        if name.removeprefix("*") == archive.name:
            return digest
    raise AssertionError(f"{archive.name} is not in its SHA256SUMS")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack under a temporary name, so that what bears the name is whole, also where two suites run at once."""
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        (temporary / DIRECTORY).mkdir()
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and member.name == f"{DIRECTORY}/{name}" and name in FILES:
                    content = tar.extractfile(member)
                    assert content is not None
                    with content, (temporary / DIRECTORY / name).open("wb") as file:
                        shutil.copyfileobj(content, file)
        temporary.rename(target)
    except OSError:
        if not target.exists():  # else another suite was quicker
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
