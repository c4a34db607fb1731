"""Processes that train together on JAX: how one joins them, and what the first of them tells the others."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from jax.experimental import multihost_utils

from eyebright.backend import jax
from eyebright.errors import TrainingError

_SILENT_SECONDS = 60  # after which a process that nobody hears of counts as dead


class Do(IntEnum):
    """What the first process asks for."""

    BEGIN = 0  # the run's directory is there
    TRAIN = 1
    ANSWER = 2  # give logits


class Message(NamedTuple):
    """What all processes do next.

    Attributes:
        do: which of them.
        first: of the steps to train, from 0.
        length: the number of these steps; or of the images to answer, whose indices follow.
    """

    do: Do
    first: int = 0
    length: int = 0


def join(coordinator: str, processes: int, process: int) -> None:
    """Make this process one of several that compute together; before anything has been computed.

    Args:
        coordinator: HOST:PORT, on the machine of process 0, which answers there.
        processes: how many there are.
        process: which of them this is, from 0.

    Raises:
        TrainingError: they are not connected, or one has several devices: each would train a model of its own.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is for `Interrupts`
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        coordinator_bind_address=coordinator,  # and on no other network
        heartbeat_timeout_seconds=_SILENT_SECONDS,
    )
    found = jax.process_count(), jax.device_count(), jax.local_device_count()
    if found != (processes, processes, 1):
        raise TrainingError(
            f"{processes} workers should compute together, with one device each; JAX found {found[0]} processes with "
            f"{found[1]} devices, {found[2]} of them here. They would not train one model. Look for variables that "
            "change JAX's devices (XLA_FLAGS, JAX_NUM_CPU_DEVICES)."
        )


def leads() -> bool:
    """Whether this is the process that decides and writes."""
    return bool(jax.process_index() == 0)


def tell(message: Message) -> None:
    """In the first process: have the others `hear` a message."""
    shared(np.array(message, np.int32))


def hear() -> Message:
    """In another process: wait for the next message."""
    do, first, length = shared(np.zeros(len(Message._fields), np.int32)).tolist()
    return Message(Do(do), first, length)


def shared(tree: Any) -> Any:
    """The first process's arrays, in all processes; the others' are of the same shapes."""
    return multihost_utils.broadcast_one_to_all(tree)
