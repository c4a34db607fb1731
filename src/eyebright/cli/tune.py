"""`eyebright tune`: a search for better settings, from its start, or on from where it stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from eyebright.cli.backend import Backend, choose_backend
from eyebright.cli.flags import with_settings_flags
from eyebright.cli.options import DataDir, Ray
from eyebright.cli.output import console_for, print_json_line
from eyebright.cli.run_data import load_fitted, load_run_data, with_whole_paths
from eyebright.cli.search import summarise_search

if TYPE_CHECKING:
    from eyebright.presets import Resolved
    from eyebright.tuning.record import Objective
    from eyebright.tuning.space import SearchSpace
    from eyebright.tuning.tune import Search

_TESTED = ("test_accuracy", "test_accuracy_ci95", "test_images", "test_looks")


@with_settings_flags
def tune(
    data: Annotated[
        str | None,
        typer.Argument(help="The data, as for eyebright train. [default: digits]", show_default=False),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many settings to try, the first being the preset.", show_default=False),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            help="How long to try; with --trials, whichever comes first. The training of the best comes after that.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Trials at once, in processes of their own, which share the processors. [default: 1; with --ray one "
            "for each machine]",
            show_default=False,
        ),
    ] = None,
    ray: Ray = None,
    objective: Annotated[
        Literal["accuracy", "accuracy-time", "accuracy-parameters"] | None,
        typer.Option(
            help="What is better: accuracy on validation images; or accuracy against training time or number of "
            "parameters, with all trials that no other one beats in both. [default: accuracy]",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="What to search: for each setting a table with low and high (and log, step) or choices. "
            "[default: the preset's own, without what flags set]",
            show_default=False,
        ),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "random"] | None,
        typer.Option(
            help="How settings are chosen. random is there to compare with. [default: tpe]", show_default=False
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune/--no-prune", help="End trials early that do worse than two thirds of the others."),
    ] = True,
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            help="Train once more with the best settings, and test that, once. [default: refit; with --resume, as the "
            "search was begun]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings to begin with, in the place of the preset's.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the search; must not exist. [default: runs/<date>-<time>-<data>-<model>-search]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Go on with this search; --trials and --minutes, of all of it, make it longer."
        ),
    ] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the results as one line of JSON; what is for people goes to stderr.")
    ] = False,
    **flags: Any,
) -> None:
    """Search for settings better than a preset's on validation images; train with the best, and test that once.

    Trial 0 has the settings that the preset, --config and the flags give; what flags set is not searched (but with
    --space). Trials first run for a ninth of their length, then for a third, and the best of them to the end, each time
    from the start. No trial meets the test images. The result is in best.toml, which eyebright train --config
    takes, trials.csv, report.html, and a run of the best settings.

    With --ray trials are trained by all machines of a cluster, which share a file system; all else stays as it is.
    """
    console = console_for(quiet=quiet, json=json)
    _check_extra(ray)
    choose_backend(backend, resume)
    asked: dict[str, Any] = {
        "trials": trials,
        "minutes": minutes,
        "jobs": 1 if jobs is None else jobs,
        "refit": refit,
        "console": console,
    }
    where = _Where(ray, one_for_each_machine=jobs is None)
    if resume is not None:
        once: dict[str, object] = {
            f"--config {config}": config,
            f"--run-dir {run_dir}": run_dir,
            f"--sampler {sampler}": sampler,
        }
        once["--no-prune"] = not prune
        search = _resume(resume, data, data_dir, once, space, objective, flags, asked, where)
    else:
        asked |= {"objective": objective or "accuracy", "sampler": sampler or "tpe", "prune": prune}
        asked["refit"] = refit is not False
        search = _begin(data, data_dir, config, run_dir, space, flags, asked, where)
    _write_page(search)
    summarise_search(search, console)
    if json:
        tested = {name: search.run.results[name] for name in _TESTED} if search.run else {}
        print_json_line({"path": str(search.path), **search.results, **tested})


def _begin(
    data: str | None,
    data_dir: Path | None,
    config: Path | None,
    run_dir: Path | None,
    space: Path | None,
    flags: Mapping[str, Any],
    asked: dict[str, Any],
    where: _Where,
) -> Search:
    # What can be wrong with the command is found out before anything large is imported or read.
    from eyebright.errors import SettingsError
    from eyebright.presets import MIN_BATCH_SIZE, resolve_settings
    from eyebright.tuning.record import check_amounts

    check_amounts(asked["trials"], asked["minutes"], asked["jobs"])
    resolved = resolve_settings({"data": data, **flags}, config)
    if "validation" in resolved.given and not resolved.settings.validation:
        raise SettingsError(
            f"{resolved.given['validation'].quote('validation')}: a search chooses by validation images. Keep some."
        )
    chosen = _space(space, resolved)

    from datetime import datetime

    from eyebright.run_paths import check_free, default_path

    path = run_dir or default_path(resolved.settings, datetime.now().astimezone(), "-search")
    check_free(path)
    dataset, _, settings = load_fitted(resolved, data_dir, asked["console"], progress=asked["console"] is not None)
    settings = with_whole_paths(settings)
    if space is None:
        # As the preset's batch was made smaller for few images, so are those that are searched.
        factor = settings.batch_size / resolved.settings.batch_size
        chosen = chosen.scaled("batch_size", factor, least=MIN_BATCH_SIZE) if factor < 1 else chosen

    from eyebright.tuning.tune import tune as search

    with where.reached(asked) as all_asked:
        return search(settings, dataset, path, space=chosen, **all_asked)


def _space(file: Path | None, resolved: Resolved) -> SearchSpace:
    """What is searched: what a file says, or what belongs to the preset and no flag has set."""
    from eyebright.errors import SettingsError
    from eyebright.sources import FLAGS, flag, read_layer
    from eyebright.tuning.space import SearchSpace

    if file is not None:
        return SearchSpace.read(read_layer(file), resolved.settings)
    space = SearchSpace.of_preset(resolved.settings)
    fixed = {name for name, layer in resolved.given.items() if layer.source == FLAGS}
    if {"epochs", "max_steps"} & fixed:  # each takes the place of the other
        fixed |= {"epochs", "max_steps"}
    left = space.without(fixed)
    if not left.searched:
        names = ", ".join(map(flag, sorted(fixed & space.searched.keys())))
        raise SettingsError(f"{names}: flags set all that would be searched. Leave one out, or give --space FILE.")
    return left


def _resume(
    run_dir: Path,
    data: str | None,
    data_dir: Path | None,
    once: Mapping[str, object],
    space: Path | None,
    objective: Objective | None,
    flags: Mapping[str, Any],
    asked: dict[str, Any],
    where: _Where,
) -> Search:
    from eyebright.errors import RunError
    from eyebright.run_directory import RunDirectory
    from eyebright.sources import read_layer
    from eyebright.tuning.record import Record
    from eyebright.tuning.space import SearchSpace

    for option, is_given in once.items():
        if is_given:
            raise RunError(f"{option}: has no meaning beside --resume, which goes on with a search as it is.")
    run = RunDirectory.open_any(run_dir)
    Record.read(run)
    again = SearchSpace.read(read_layer(space), run.settings) if space is not None else None
    dataset = load_run_data(run, data, data_dir, progress=asked["console"] is not None)

    from eyebright.tuning.tune import resume_tuning

    with where.reached(asked) as all_asked:
        return resume_tuning(run_dir, dataset, space=again, objective=objective, flags=flags, **all_asked)


class _Where(NamedTuple):
    """Where trials are trained: on this machine, or on the cluster of an address."""

    ray: str | None
    one_for_each_machine: bool

    @contextlib.contextmanager
    def reached(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What is asked of a search, with the place where it is done."""
        if self.ray is None:
            yield asked
            return
        from eyebright.cluster.connection import connected, processors

        with connected(self.ray, asked["console"]):
            from eyebright.cluster.tuning import Cluster

            cluster = Cluster(processors())
            jobs = len(cluster.processors) if self.one_for_each_machine else asked["jobs"]
            yield {**asked, "place": cluster, "jobs": jobs}


def _check_extra(ray: str | None) -> None:
    """Refuse to search without the libraries for it.

    Raises:
        MissingExtraError: one is not here.
        SettingsError: this is no address of a cluster.
    """
    from importlib.util import find_spec

    from eyebright.errors import MissingExtraError

    if find_spec("optuna") is None:
        raise MissingExtraError("The search for settings", "tune")
    if ray is not None:
        from eyebright.cluster.connection import check_address

        check_address(ray)


def _write_page(search: Search) -> None:
    from eyebright.report.search_page import write_search_report
    from eyebright.run_directory import RunDirectory

    write_search_report(RunDirectory.open_any(search.path), search.path / "report.html")
