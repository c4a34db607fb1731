"""HTTP/1.1 with a deadline for receiving a request: uvicorn itself waits for ever for a client that sends slowly."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_BODY = b'{"error":"The request did not arrive in time."}'
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class DeadlineProtocol(H11Protocol):
    """A connection that is closed where a request has not arrived whole within `receive_seconds`.

    The time runs from the connection's beginning, or from a request's first byte on one that is kept alive. A client
    has as long to take what is written to it; then the connection is cut.
    """

    def __init__(self, *arguments: Any, receive_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receive_seconds = receive_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None  # when the client must have taken what is written to it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop it."""
        self._stop()
        self._stop_reading()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start it where a request begins, stop it where one has arrived."""
        if self._deadline is None:
            self._start()
        super().data_received(data)
        if self._has_arrived():
            self._stop()
        self._watch_reading()

    def on_response_complete(self) -> None:
        """A request that arrived while the one before was answered has been handled by now, too."""
        super().on_response_complete()
        if self._has_arrived():
            self._stop()
        self._watch_reading()

    def pause_writing(self) -> None:
        """More is written than the client takes: give it its time."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """It has taken most: what comes next has its own time."""
        self._stop_reading()
        super().resume_writing()
        self._watch_reading()

    def _watch_reading(self) -> None:
        if self._reading is None and self.transport.get_write_buffer_size():
            self._reading = self.loop.call_later(self._receive_seconds, self._not_read)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _not_read(self) -> None:
        self._reading = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _has_arrived(self) -> bool:
        """Whether nothing of a request is missing: its end was read, or none has begun."""
        if self.conn.their_state is h11.IDLE:
            return not self.conn.trailing_data[0]
        return self.conn.their_state is not h11.SEND_BODY

    def _start(self) -> None:
        self._deadline = self.loop.call_later(self._receive_seconds, self._too_late)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        unanswered = self.cycle is None or self.cycle.response_complete or not self.cycle.response_started
        if unanswered and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_TOO_SLOW)
        self.transport.close()
        self._watch_reading()
