"""Functions compiled by XLA, and the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from eyebright.backend import jax

_seconds = 0.0


def compile_seconds() -> float:
    """The seconds that this process has spent on compiling so far."""
    return _seconds


class Compiled:
    """A function of trees of arrays, compiled when it is called with shapes that it has not been called with.

    Args:
        function: what is compiled; it must depend on its arguments alone.
        donated: the argument, by its position, whose memory the result may take.
        sharding: of all that it returns, over the devices of several processes; None leaves it to XLA.
    """

    def __init__(self, function: Callable[..., Any], donated: int | None = None, sharding: Any = None) -> None:
        self._function = jax.jit(function, donate_argnums=() if donated is None else donated, out_shardings=sharding)
        self._by_shapes: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        global _seconds
        shapes = tuple((array.shape, str(array.dtype)) for array in jax.tree.leaves(arguments))
        if shapes not in self._by_shapes:
            began = time.perf_counter()
            self._by_shapes[shapes] = self._function.lower(*arguments).compile()
            _seconds += time.perf_counter() - began
        return self._by_shapes[shapes](*arguments)
