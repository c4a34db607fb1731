"""A real S3-compatible server on loopback, and data to shard."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from eyebright import Dataset
from eyebright.data.shards import ShardBatch
from eyebright.data.shards.places import Patience

QUICK = Patience(attempts=2, pause_seconds=0.01, connect_seconds=2.0, read_seconds=0.3)


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
        with urllib.request.urlopen(request, timeout=10) as answer:
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


def numbered(count: int, shape: tuple[int, int, int] = (5, 4, 3), splits: bool = True) -> Dataset:
    """Images of which each says by its first pixels which it is, in three classes."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    images.reshape(count, -1)[:, :2] = np.stack([np.arange(count) // 256, np.arange(count) % 256], axis=1)
    labels = (np.arange(count) % 3).astype(np.int32)
    cut = count * 3 // 4
    parts = {"train": np.arange(cut), "test": np.arange(cut, count)} if splits else {}
    return Dataset(images, labels, ("a", "b", "c"), "numbered", parts)


def numbers(images: np.ndarray) -> list[int]:
    """Which of the `numbered` images these are."""
    first = images.reshape(len(images), -1)[:, :2].astype(int)
    return (first[:, 0] * 256 + first[:, 1]).tolist()


def numbers_of(batches: list[ShardBatch]) -> list[int]:
    """Which of them are in some batches, in their order."""
    return [number for batch in batches for number in numbers(batch.images)]
