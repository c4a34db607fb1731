"""`eyebright train --workers`: one run, trained by several processes of a Ray cluster together."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.cluster.training import TrainedRun
    from eyebright.data.dataset import Dataset
    from eyebright.settings import Settings

WorkersFlag = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Train the run by N processes of a Ray cluster together, each of which computes its part of every batch: "
        "the same run, sooner. On the backend jax.",
        show_default=False,
    ),
]
RayFlag = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="With --workers: which Ray cluster: HOST:PORT, auto (the one that runs here, or else one of this machine) "
        "or local (the latter in any case). [default: auto]",
        show_default=False,
    ),
]


class Workers(NamedTuple):
    """How many workers, of which cluster."""

    number: int
    address: str

    def train(
        self,
        settings: Settings | None,
        dataset: Dataset,
        run_dir: Path,
        *,
        batch_of: Settings,
        console: Console | None,
        started: float,
        flags: Mapping[str, Any] | None = None,
        copy_to: str | None = None,
    ) -> TrainedRun:
        """Train a run, by the arguments of `train_together`; `batch_of` are its settings, whether it begins or not."""
        from eyebright.cluster.batches import check_batch
        from eyebright.cluster.connection import connected
        from eyebright.training.progress import say

        check_batch(batch_of, self.number, resumed=settings is None)
        part = batch_of.batch_size // self.number
        say(
            console,
            f"{self.number} workers: of each batch of {batch_of.batch_size} images, which is the whole run's, every "
            f"one computes {part}. The learning rate is that of the whole batch, as with one process.",
        )
        with connected(self.address, console):
            from eyebright.cluster.training import train_together

            return train_together(
                settings, dataset, run_dir, workers=self.number, threads=batch_of.threads, flags=flags, copy_to=copy_to,
                console=console, started=started,
            )  # fmt: skip


def check_workers(
    workers: int | None, ray: str | None, backend: str | None, others: Mapping[str, object]
) -> Workers | None:
    """The workers that are asked for, if any; what cannot be is refused before anything large is imported or read.

    Args:
        workers: how many.
        ray: the address of their cluster.
        backend: what is to compute.
        others: options that they do not go with, by the words of the command.

    Raises:
        SettingsError: options that do not go together, or no address.
        MissingExtraError: JAX or Ray is not here.
    """
    from eyebright.errors import MissingExtraError, SettingsError

    if workers is None:
        if ray is not None:
            raise SettingsError(f"--ray {ray}: trains with several workers only. Give --workers N, too.")
        return None
    for option, is_given in others.items():
        if is_given:
            raise SettingsError(f"--workers {workers}: one run is trained by them. Leave it out, or {option}.")
    computing = backend or os.environ.get("KERAS_BACKEND") or "jax"
    if computing != "jax":
        raise SettingsError(
            f"--workers {workers}: they compute on jax; --backend (or KERAS_BACKEND) names {computing}. Leave it out."
        )
    from eyebright.cluster.connection import AUTO, check_address

    check_address(ray or AUTO)
    if importlib.util.find_spec("jax") is None:
        raise MissingExtraError("Training with several workers", "jax")
    return Workers(workers, ray or AUTO)
