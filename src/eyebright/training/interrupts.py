"""Ctrl-C and SIGTERM: noted, not obeyed at once, so that training can finish its step and save."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, ClassVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Within this context, `received` is the number of the signal that asked to stop, or None.

    A second signal of the kind ends the process at once. Off the main thread, where Python sets no handlers, signals
    do what they did before. Within another such context, it is that one: what was received stays so until its end.
    """

    _current: ClassVar[Interrupts | None] = None

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self
        if Interrupts._current is not None:
            return Interrupts._current
        Interrupts._current = self
        self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if Interrupts._current is self:
            Interrupts._current = None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        for other in _SIGNALS:
            signal.signal(other, self._previous[other])
