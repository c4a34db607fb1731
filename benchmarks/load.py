"""Clients for a server on loopback: as many at once as asked for, or so many requests a second."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What came back, and after how many seconds; status 0 where the connection broke."""

    status: int
    body: bytes
    seconds: float


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A request as its bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """A connection that is kept, and opened anew where it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, since: float | None = None) -> Reply:
        """Send a request and wait for the whole answer; the time counts from `since`, of `time.perf_counter`."""
        since = time.perf_counter() if since is None else since
        try:
            if self._streams is not None and self._streams[0].at_eof():  # closed while nobody used it
                self.close()
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, said, length = head.partition(b"content-length:")
            body = await (reader.readexactly(int(length.split(b"\r\n")[0])) if said else reader.read())
            if b"connection: close" in head:
                self.close()
            return Reply(int(head.split()[1]), body, time.perf_counter() - since)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Reply(0, b"", time.perf_counter() - since)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> list[Reply]:
    """Each of so many clients asks, waits for the answer, and asks again."""
    end = time.perf_counter() + seconds
    numbers = itertools.count()

    async def run() -> list[Reply]:
        client, replies = Client(port), []
        while time.perf_counter() < end:
            replies.append(await client.ask(requests[next(numbers) % len(requests)]))
        client.close()
        return replies

    return list(itertools.chain.from_iterable(await asyncio.gather(*(run() for _ in range(clients)))))


async def paced(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, check: Callable[[int, Reply], None] | None = None
) -> list[Reply]:
    """So many requests a second, at random times, whether or not earlier ones are answered (an open loop).

    Args:
        port: of the server.
        requests: in turn.
        rate: a second.
        seconds: for which they are sent.
        check: called with a request's number and its reply.
    """
    idle: list[Client] = []
    chance = random.Random(0)
    begun = time.perf_counter()
    due, replies, tasks = begun, [], set()

    async def ask(number: int, since: float) -> None:
        client = idle.pop() if idle else Client(port)
        reply = await client.ask(requests[number % len(requests)], since)
        idle.append(client)
        replies.append(reply)
        if check is not None:
            check(number % len(requests), reply)

    for number in itertools.count():
        due += chance.expovariate(rate)
        if due > begun + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.ensure_future(ask(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return replies


def percentile(replies: Sequence[Reply], share: float) -> float:
    """Of the seconds of replies."""
    ordered = sorted(reply.seconds for reply in replies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def labels(reply: Reply) -> list[Any]:
    """The classes that an answer of `/predict` names."""
    return [entry.get("label") for entry in json.loads(reply.body)]
