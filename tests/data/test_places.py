"""Object storage: a real S3-compatible server that answers, denies, stalls and breaks."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest

from eyebright import load_dataset
from eyebright.data.places import ObjectStorage, Patience, place_of
from eyebright.data.shards import ShardSize, ShardStream, write_shards
from eyebright.errors import DataError, StorageError

from ..conftest import use_endpoint
from .shards.conftest import QUICK, numbered
from .shards.test_writing import save


@pytest.fixture
def source(tmp_path):
    return save(numbered(60), tmp_path / "a.npz")


def test_shards_in_s3_are_those_in_a_directory(s3, source, tmp_path):
    index = write_shards(source, f"{s3.bucket}/sets/a", size=ShardSize(images=9))
    assert index == write_shards(source, tmp_path / "shards", size=ShardSize(images=9))
    assert load_dataset(f"{s3.bucket}/sets/a/").fingerprint == load_dataset(source).fingerprint
    assert load_dataset(f"{s3.bucket}/sets/a").source == f"{s3.bucket}/sets/a"
    here, there = ShardStream(tmp_path / "shards", 15, seed=2), ShardStream(f"{s3.bucket}/sets/a", 15, seed=2)
    for one, other in zip(islice(here.batches(2), 5), islice(there.batches(2), 5), strict=True):
        assert (one.images == other.images).all()


def test_shards_in_s3_are_never_replaced(s3, source):
    write_shards(source, f"{s3.bucket}/a")
    with pytest.raises(StorageError, match="s3://bucket/a: shards are there already"):
        write_shards(source, f"{s3.bucket}/a")


def test_the_kind_of_a_url_is_written_in_either_case_and_a_directory_by_url_is_made(s3, source, tmp_path):
    index = write_shards(source, f"{s3.bucket.replace('s3', 'S3')}/a")
    assert load_dataset(f"{s3.bucket}/a").fingerprint == load_dataset(source).fingerprint
    assert write_shards(source, f"{(tmp_path / 'new' / 'shards').as_uri()}") == index
    assert load_dataset(tmp_path / "new" / "shards").fingerprint == load_dataset(source).fingerprint


def test_what_is_not_there_is_said_without_waiting(s3):
    with pytest.raises(DataError, match=r"s3://bucket/nothing/index\.json: missing"):
        load_dataset(f"{s3.bucket}/nothing")
    with pytest.raises(DataError, match=r"s3://no-such-bucket/a/index\.json: missing"):
        load_dataset("s3://no-such-bucket/a")


def test_a_shard_that_is_missing_or_cut_in_s3_is_named(s3, source):
    write_shards(source, f"{s3.bucket}/a", size=ShardSize(images=9))
    place = place_of(f"{s3.bucket}/a")
    place.write("train-000002.tar", place.read("train-000002.tar")[:100])
    with pytest.raises(DataError, match=r"s3://bucket/a/train-000002\.tar: cut, or from another set \(100 bytes"):
        load_dataset(f"{s3.bucket}/a")


def test_a_server_that_denies_is_asked_once(s3, source):
    write_shards(source, f"{s3.bucket}/a")
    s3.deny()
    with pytest.raises(DataError, match=r"s3://bucket/a/.*access is denied: .*AWS_ACCESS_KEY_ID"):
        load_dataset(f"{s3.bucket}/a")
    with pytest.raises(StorageError, match="access is denied"):
        ObjectStorage(f"{s3.bucket}/b", QUICK).write("a", b"")


def test_no_credentials_are_a_denial(monkeypatch, s3, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match="access is denied"):
        ObjectStorage(f"{s3.bucket}/a", QUICK).read("index.json")


class Listener:
    """A server on loopback that counts connections, and does with each what `_take` says."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._take(connection)

    def close(self) -> None:
        self._listening.close()
        for connection in self._open:
            connection.close()


class Broken(Listener):
    """Answers all the same to everyone, or not at all."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        super().__init__()

    def _take(self, connection: socket.socket) -> None:
        if self._answer is not None:
            connection.recv(65536)
            connection.sendall(self._answer)
            connection.close()


ANSWERS = {
    "stalls": None,
    "hangs up": b"",
    "fails": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "is busy": b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "cuts": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nabc",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_server_that_is_in_trouble_is_tried_again_and_then_given_up(monkeypatch, name):
    pytest.importorskip("s3fs")
    server = Broken(ANSWERS[name])
    use_endpoint(monkeypatch, server.endpoint)
    began = time.monotonic()
    try:
        with pytest.raises(DataError, match=r"s3://bucket/a/index\.json: cannot be read: .*3 attempts in"):
            ObjectStorage("s3://bucket/a", QUICK._replace(attempts=3)).read("index.json")
    finally:
        server.close()
    assert time.monotonic() - began < 10
    assert 3 <= server.connections <= 6  # the client itself asks a second time where a connection is closed


@pytest.mark.parametrize("size", [0, 1000, 8_000_000])
def test_a_server_that_takes_nothing_is_given_up(monkeypatch, size):
    pytest.importorskip("s3fs")
    server = Broken(None)
    use_endpoint(monkeypatch, server.endpoint)
    monkeypatch.setattr("eyebright.data.places._SLOWEST", 8_000_000)
    patience = Patience(attempts=2, pause_seconds=0.01, connect_seconds=0.5, read_seconds=1.0)
    began = time.monotonic()
    try:
        with pytest.raises(StorageError, match=r"s3://bucket/a/b: cannot be written: .*2 attempts in"):
            ObjectStorage("s3://bucket/a", patience).write("b", bytes(size))
    finally:
        server.close()
    assert time.monotonic() - began < 15


def test_a_connection_that_is_lost_is_one_message(monkeypatch, caplog):
    pytest.importorskip("s3fs")
    server = Closing()
    use_endpoint(monkeypatch, server.endpoint)
    try:
        with pytest.raises(StorageError, match=r"s3://bucket/a/b: cannot be written: .*2 attempts in"):
            ObjectStorage("s3://bucket/a", QUICK._replace(attempts=2)).write("b", bytes(8_000_000))
    finally:
        server.close()
    gc.collect()
    time.sleep(0.2)
    assert not [record for record in caplog.records if record.name == "asyncio"]


class Closing(Listener):
    """Hangs up on everyone at once."""

    def _take(self, connection: socket.socket) -> None:
        connection.close()


def test_no_server_at_all_is_said(monkeypatch):
    pytest.importorskip("s3fs")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    use_endpoint(monkeypatch, f"http://127.0.0.1:{port}")
    with pytest.raises(DataError, match=r"cannot be read: .*AWS_ENDPOINT_URL"):
        ObjectStorage("s3://bucket/a", QUICK).read("index.json")


def test_trouble_that_passes_is_not_noticed(monkeypatch, s3, source):
    """A proxy before the server hangs up on the first connections."""
    write_shards(source, f"{s3.bucket}/a", size=ShardSize(images=9))
    proxy = Proxy(s3.endpoint, refused=2)
    use_endpoint(monkeypatch, proxy.endpoint)
    patience = Patience(attempts=4, pause_seconds=0.01, connect_seconds=2.0, read_seconds=5.0)
    try:
        content = ObjectStorage("s3://bucket/a", patience).read("index.json")
    finally:
        proxy.close()
    assert json.loads(content)["name"] == "a"
    assert proxy.connections > 2


class Proxy(Listener):
    """Hands connections on to a server, but hangs up on the first ones."""

    def __init__(self, endpoint: str, refused: int) -> None:
        host, _, port = endpoint.removeprefix("http://").rpartition(":")
        self._target, self._refused = (host, int(port)), refused
        super().__init__()

    def _take(self, connection: socket.socket) -> None:
        if self.connections <= self._refused:
            connection.close()
            return
        server = socket.create_connection(self._target)
        self._open.append(server)
        for one, other in ((connection, server), (server, connection)):
            threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    @staticmethod
    def _hand_on(one: socket.socket, other: socket.socket) -> None:
        try:
            while content := one.recv(65536):
                other.sendall(content)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_shards_can_be_read_over_http(source, tmp_path):
    pytest.importorskip("aiohttp")
    write_shards(source, tmp_path / "shards", size=ShardSize(images=9))
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert load_dataset(f"{url}/shards").fingerprint == load_dataset(source).fingerprint
            with pytest.raises(DataError, match=r"nothing/index\.json: missing"):
                load_dataset(f"{url}/nothing")
            with pytest.raises(StorageError, match="cannot be written"):
                place_of(f"{url}/other", QUICK).write("index.json", b"{}")
        finally:
            server.shutdown()
            thread.join()
