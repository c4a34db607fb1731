"""`eyebright train`: a run from its start, or on from where it stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eyebright.cli.backend import Backend, choose_backend
from eyebright.cli.copies import check_several, run_to_resume
from eyebright.cli.flags import with_settings_flags
from eyebright.cli.folds import check_folds, summarise_folds
from eyebright.cli.options import DataDir
from eyebright.cli.output import console_for, print_json_line
from eyebright.cli.run_data import load_fitted, load_run_data, with_whole_paths
from eyebright.cli.seeds import summarise_seeds
from eyebright.cli.workers import RayFlag, Workers, WorkersFlag, check_workers
from eyebright.sources import flag

if TYPE_CHECKING:
    from rich.console import Console

    from eyebright.cluster.training import TrainedRun
    from eyebright.cross_validation import CrossValidation
    from eyebright.data.dataset import Dataset
    from eyebright.settings import Settings
    from eyebright.several_seeds import SeveralSeeds
    from eyebright.training.trainer import Run

_WIDE = 0.05  # to either side: a 95% interval that is wider comes from too few test images
_STARTED = time.perf_counter()  # this file is among the first things that the process reads


@with_settings_flags
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A data set of the catalogue (see: eyebright datasets), or the path of one: a folder with a folder of "
            "pictures for each class, a table of pictures (CSV, TSV, Parquet), an archive of either (zip, tar), a "
            "directory of CIFAR or IDX (MNIST) files, shards (their directory or URL), or an .npz with images (uint8 "
            "[N, H, W] or [N, H, W, C], 0 to 255), labels (whole numbers from 0) and, if you like, class_names. "
            "[default: digits]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, for example the settings.toml of a run.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the run; must not exist. [default: runs/<date>-<time>-<data>-<model>] Of --resume COPY: "
            "where the run is fetched to, otherwise to runs/<last part of COPY>.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_DIR|COPY",
            help="Go on with this run from its newest checkpoint. It may be where --copy-to kept a copy (a URL, a "
            "directory), on this machine or another.",
            show_default=False,
        ),
    ] = None,
    copy_to: Annotated[
        str | None,
        typer.Option(
            metavar="URL|DIR",
            help="Keep a copy of the run there (s3://bucket/run, say), brought up to date after each checkpoint, for "
            "--resume on any machine.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Cross-validation instead of one run: K runs, each tested on another K-th of the training images. "
            "Images that the data set keeps for testing take no part.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train N times instead of once, with the seeds --seed, --seed + 1 and so on, to know how much of the "
            "accuracy is luck.",
            show_default=False,
        ),
    ] = None,
    backend: Backend = None,
    workers: WorkersFlag = None,
    ray: RayFlag = None,
    data_dir: DataDir = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Train on nothing in which the quick part of eyebright check finds something."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the results as one line of JSON; what is for people goes to stderr.")
    ] = False,
    **flags: Any,
) -> None:
    """Train a classifier and test it once; or, with --folds or --seeds, several, to know better how good they are.

    Settings come from the preset, over it from --config, over that from the flags. The defaults shown are those of the
    fc model's preset `default`; what a run uses is printed at its start.
    """
    console = console_for(quiet=quiet, json=json)
    several = {f"--folds {folds}": folds, f"--seeds {seeds}": seeds}
    team = check_workers(workers, ray, backend, several)
    if resume is not None:
        once = {f"--config {config}": config, "--strict": strict, **several}
        path = run_to_resume(resume, run_dir, copy_to, once, console)
        choose_backend("jax" if team else backend, path)
        run = _resume(path, data, data_dir, flags, team, console)
    else:
        choose_backend("jax" if team else backend)
        check_folds(folds, flags, seeds)
        check_several(copy_to, several)
        run = _train(data, data_dir, config, run_dir, flags, folds, seeds, team, copy_to, console, strict=strict)
    kinds: dict[str, Callable[[Any, Console | None], None]] = {"folds": summarise_folds, "seeds": summarise_seeds}
    next((say for kind, say in kinds.items() if kind in run.results), _summarise)(run, console)
    if json:
        print_json_line(run.results)


def _train(
    data: str | None,
    data_dir: Path | None,
    config: Path | None,
    run_dir: Path | None,
    flags: Mapping[str, Any],
    folds: int | None,
    seeds: int | None,
    team: Workers | None,
    copy_to: str | None,
    console: Console | None,
    *,
    strict: bool,
) -> Run | CrossValidation | SeveralSeeds | TrainedRun:
    # What can be wrong with the command is found out before anything large is imported or read.
    from eyebright.presets import resolve_settings

    resolved = resolve_settings({"data": data, **flags}, config)

    from datetime import datetime

    from eyebright.run_paths import RunExistsError, check_free, default_path

    path = run_dir or default_path(resolved.settings, datetime.now().astimezone())
    check_free(path)
    if copy_to is not None:
        from eyebright.run_copy import check_no_copy

        check_no_copy(copy_to, path)
    dataset, _, settings = load_fitted(resolved, data_dir, console, progress=console is not None, folds=folds)
    _check(dataset, settings, data_dir, console, strict=strict)
    settings = with_whole_paths(settings)
    if team is not None:
        return team.train(
            settings, dataset, path, batch_of=settings, copy_to=copy_to, console=console, started=_STARTED
        )

    from eyebright.cross_validation import cross_validate
    from eyebright.several_seeds import train_seeds
    from eyebright.training import trainer

    while True:
        try:
            if folds is not None:
                return cross_validate(settings, dataset, path, folds=folds, console=console)
            if seeds is not None:
                return train_seeds(settings, dataset, path, seeds=seeds, console=console)
            return trainer.train(settings, dataset, path, console=console, started=_STARTED, copy_to=copy_to)
        except RunExistsError:
            if run_dir is not None or not os.path.lexists(path):  # then it is the copy that exists
                raise
            path = default_path(resolved.settings, datetime.now().astimezone())  # another process was faster


def _check(
    dataset: Dataset, settings: Settings, data_dir: Path | None, console: Console | None, *, strict: bool
) -> None:
    """Say in a line what the quick part of `eyebright check` finds; refuse it if that is asked for."""
    if console is None and not strict:
        return
    from eyebright.data.audit import quick_audit, refuse_findings, summary_line
    from eyebright.training.progress import say

    report, more = quick_audit(dataset), _check_command(settings, data_dir)
    say(console, summary_line(report, more))
    if strict:
        refuse_findings(report, settings.data, more)


def _check_command(settings: Settings, data_dir: Path | None) -> str:
    """The command that looks at the same data: their pictures read as here."""
    from eyebright.suggestions import command

    given = {name: getattr(settings, name) for name in settings.picture_options.given}
    arguments: list[object] = [settings.data]
    for name, value in (given | {"data_dir": data_dir}).items():
        if value is True:
            arguments.append(flag(name))
        elif value is not None:
            arguments += [flag(name), "x".join(map(str, value)) if isinstance(value, tuple) else value]
    return command("check", *arguments)


def _resume(
    run_dir: Path,
    data: str | None,
    data_dir: Path | None,
    flags: Mapping[str, Any],
    team: Workers | None,
    console: Console | None,
) -> Run | CrossValidation | SeveralSeeds | TrainedRun:
    from eyebright.errors import RunError
    from eyebright.run_directory import RunDirectory
    from eyebright.suggestions import command

    run = RunDirectory.open_any(run_dir)
    if run.data.study or run.data.trial is not None:
        search = run_dir if run.data.study else run_dir.absolute().parents[1]
        raise RunError(f"{run_dir}: this is of a search. Go on with it: {command('tune', '--resume', search)}")
    if team is not None and (run.data.folds or run.data.seeds):
        raise RunError(f"{run_dir}: these are several runs, and --workers train one. Leave it out.")
    dataset = load_run_data(run, data, data_dir, progress=console is not None)
    if team is not None:
        return team.train(None, dataset, run_dir, batch_of=run.settings, flags=flags, console=console, started=_STARTED)

    from eyebright.cross_validation import resume_cross_validation
    from eyebright.several_seeds import resume_seeds
    from eyebright.training import trainer

    if run.data.folds is not None:
        return resume_cross_validation(run_dir, dataset, flags=flags, console=console)
    if run.data.seeds is not None:
        return resume_seeds(run_dir, dataset, flags=flags, console=console)
    return trainer.resume(run_dir, dataset, flags=flags, console=console, started=_STARTED)


def _summarise(run: Run | CrossValidation | SeveralSeeds | TrainedRun, console: Console | None) -> None:
    from eyebright.metrics.intervals import trials_needed
    from eyebright.run_directory import RunDirectory
    from eyebright.suggestions import command
    from eyebright.training.progress import say

    results = run.results
    low, high = results["test_accuracy_ci95"]
    tta = results.get("tta", "none")  # runs of earlier versions do not have it
    views = "" if tta == "none" else f", with test-time augmentation ({tta})"
    say(
        console,
        f"Test accuracy {results['test_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) "
        f"on {results['test_images']:,} images{views}",
    )
    if high - low > 2 * _WIDE:
        correct, images = round(results["test_accuracy"] * results["test_images"]), results["test_images"]
        say(
            console,
            f"{images:,} test images are too few for this figure: with others it may be anything within the interval. "
            f"For ± {_WIDE} it takes about {trials_needed(correct, images, _WIDE):,}.",
        )
    if views:
        low, high = results["test_accuracy_one_view_ci95"]
        accuracy = results["test_accuracy_one_view"]
        say(console, f"Without it, by one view of each image: {accuracy:.4f} (95% interval {low:.4f} to {high:.4f})")
    looks = RunDirectory.open(run.path).looks_of_data  # as of now: others may have looked since a resumed run's end
    if looks.sentence and not looks.warning:  # which was given when the look was to be counted
        say(console, looks.sentence)
    say(
        console,
        f"Total time {results['total_seconds']:.2f} s, of which training {results['train_seconds']:.2f} s "
        f"({results['images_per_second']:,.0f} images/s)",
    )
    say(console, f"The run is in {run.path}. What to do next:")
    validation = [("evaluate", run.path, "--split", "validation")] if results["validation_accuracy"] is not None else []
    looking = [(name, run.path) for name in ("report", "plot", "tensorboard")]
    for arguments in (("predict", run.path), *looking, *validation):
        say(console, f"  {command(*arguments)}{' PICTURE…' if 'predict' in arguments else ''}")
