"""What no client should send: bombs, truncated files, 200 MB, requests without end, odd names, ten thousand parts.

And clients that hang up in the middle of what they send.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import io
import random
import time
import zlib

from PIL import Image

from load import Client, post


async def trouble(port: int, seed: int, statuses: collections.Counter[int], receive_seconds: float) -> None:
    """One hostile client, which does one thing after the other, in no order, for ever.

    Args:
        port: of the server.
        seed: of the order.
        statuses: where answers are counted; 0 for a connection that was closed without one.
        receive_seconds: the time that the server gives to a request.
    """
    chance = random.Random(seed)
    kinds = hostile_requests()
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        name = chance.choice([*kinds, "hang-up", "slow", "huge"])
        if name == "hang-up":
            await send_and_leave(port, chance.choice(list(kinds.values())), chance)
        elif name == "slow":
            statuses[await slow(port, receive_seconds)] += 1
        elif name == "huge":
            statuses[await huge(port)] += 1
        else:
            client = Client(port)
            statuses[(await client.ask(kinds[name])).status] += 1
            client.close()


def hostile_requests() -> dict[str, bytes]:
    def part(name: str, content: bytes) -> bytes:
        return (
            f'--b\r\nContent-Disposition: form-data; name="i"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        )

    def form(parts: bytes) -> bytes:
        return post("/predict", parts + b"--b--\r\n", "multipart/form-data; boundary=b")

    whole = bomb()
    return {
        "bomb": post("/predict", whole, "image/png"),
        "many scans": post("/predict", many_scans(), "image/jpeg"),
        "truncated": post("/predict", whole[: len(whole) // 2], "image/png"),
        "wrong type": post("/predict", b"<svg onload=alert(1)>", "text/html"),
        "words": post("/predict", b"no picture", "image/jpeg"),
        "path": form(part("../../../etc/passwd", b"x") + part("C:\\\\a\\0", b"y")),
        "many parts": form(part("a", b"") * 10_000),
        "deep": post("/v1/models/served:predict", b'{"instances":' + b"[" * 100_000, "application/json"),
        "ragged": post("/v1/models/served:predict", b'{"instances":[[1,2],[3]]}', "application/json"),
        "no such model": post("/v2/models/../infer", b"{}", "application/json"),
        "no HTTP": b"GET /\r\nHost:\0\r\n\r\n",
    }


def bomb() -> bytes:
    """A PNG of 40,000 × 40,000 pixels in some 200 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")

    side = (40_000).to_bytes(4, "big")
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(5001 * 1000)) for _ in range(40)) + packer.flush()
    head = chunk(b"IHDR", side + side + b"\x01\0\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans() -> bytes:
    """A progressive JPEG of 3,000 × 3,000 pixels whose last scan stands in it a thousand times."""
    file = io.BytesIO()
    Image.new("L", (3000, 3000)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    start = content.rindex(b"\xff\xda")
    return content[:start] + content[start:-2] * 1000 + content[-2:]


async def send_and_leave(port: int, request: bytes, chance: random.Random) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request[: chance.randrange(1, len(request))])
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.transport.abort()


async def slow(port: int, receive_seconds: float) -> int:
    """A request a byte at a time, without end: the server must end it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.perf_counter()
    with contextlib.suppress(OSError):
        for byte in b"POST /predict HTTP/1.1\r\nX: " + b"a" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                head = await asyncio.wait_for(reader.read(12), 0.1)
                writer.close()
                return int(head.split()[1]) if head else 0
    assert time.perf_counter() - begun < 10 * receive_seconds, "slow clients are borne for ever"
    return 0


async def huge(port: int) -> int:
    """200 MB, without saying so before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    status = 0
    with contextlib.suppress(OSError):
        writer.write(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(200):
            writer.write(b"100000\r\n" + bytes(2**20) + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        status = int((await reader.read(12)).split()[1])
    writer.close()
    return status
