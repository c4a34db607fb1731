"""Where the arrays of a training on JAX lie: on the one device of this process, or on those of several processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from eyebright.backend import jax

_BATCH = "batch"  # the one axis of the mesh of devices


class Placement(Protocol):
    """Takes arrays into a compiled call, and out of it. Between two calls all of them are this process's own."""

    @property
    def everywhere(self) -> Any:
        """The sharding of what a call returns; None leaves it to XLA."""

    def whole(self, tree: Any) -> Any:
        """Arrays that each process has as a whole, the same in all, as an argument of the call."""

    def divided(self, array: NDArray[Any]) -> Any:
        """An array [k, B, …] that each process has as a whole, of which its device gets its part of each batch."""

    def spread(self, array: Any) -> Any:
        """Within the call: have the images of a batch, [B, …], computed each where its part is."""

    def own(self, tree: Any) -> Any:
        """What a call returned, as arrays of this process."""

    def together(self, function: Callable[[NDArray[np.int64]], NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """What a function gives for indices int64 [n], an array [n, …]: all of it, in each process."""


class OneDevice:
    """One process, which computes all: a `Placement` that changes nothing."""

    everywhere = None

    def whole(self, tree: Any) -> Any:
        """See `Placement`."""
        return tree

    def divided(self, array: NDArray[Any]) -> Any:
        """See `Placement`."""
        return array

    def spread(self, array: Any) -> Any:
        """See `Placement`."""
        return array

    def own(self, tree: Any) -> Any:
        """See `Placement`."""
        return tree

    def together(self, function: Callable[[NDArray[np.int64]], NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """See `Placement`."""
        return function(indices)


class SeveralProcesses:
    """Processes with one device each, joined by `jax.distributed`: a `Placement`.

    A compiled call is one program that all of them run (SPMD): each device has all variables and pixels, and its part
    of each batch. Where something takes the whole batch, the sum of a gradient, a statistic of batch normalisation, the
    partner that an image is mixed with, XLA has the devices exchange it. So what is computed is what one process
    computes, but for the order of sums.
    """

    def __init__(self) -> None:
        mesh = Mesh(np.array(jax.devices()), (_BATCH,), axis_types=(AxisType.Auto,))
        self.everywhere = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        self._batch = NamedSharding(mesh, PartitionSpec(_BATCH))  # type: ignore[no-untyped-call]
        self._batches = NamedSharding(mesh, PartitionSpec(None, _BATCH))  # type: ignore[no-untyped-call]
        self._device = jax.local_devices()[0]

    def whole(self, tree: Any) -> Any:
        """See `Placement`. The memory is that of this process's own array, where it has one on its device."""
        return jax.tree.map(self._whole, tree)

    def divided(self, array: NDArray[Any]) -> Any:
        """See `Placement`."""
        return jax.make_array_from_callback(array.shape, self._batches, lambda part: array[part])

    def spread(self, array: Any) -> Any:
        """See `Placement`."""
        return jax.lax.with_sharding_constraint(array, self._batch)

    def own(self, tree: Any) -> Any:
        """See `Placement`."""
        return jax.tree.map(lambda array: array.addressable_data(0), tree)

    def together(self, function: Callable[[NDArray[np.int64]], NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """See `Placement`: each process computes its part and gets the others', so that all have the same numbers."""
        count, size = jax.process_count(), -(-len(indices) // jax.process_count())
        parts = np.resize(indices, (count, size))  # filled up from the beginning
        return multihost_utils.process_allgather(function(parts[jax.process_index()]), tiled=True)[: len(indices)]

    def _whole(self, array: Any) -> Any:
        own = jax.device_put(array, self._device)
        return jax.make_array_from_single_device_arrays(own.shape, self.everywhere, [own])


def placement() -> Placement:
    """That of this process."""
    return OneDevice() if jax.process_count() == 1 else SeveralProcesses()
