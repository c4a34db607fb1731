"""`eyebright serve`: answers over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from eyebright.cli.options import Ray
from eyebright.cli.predict import check_answer_flags

if TYPE_CHECKING:
    from eyebright.metrics.conformal import ConformalMethod
    from eyebright.serving.options import ServerOptions

_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE|RUN...",
            help="Artefacts (FILE.eyebright) or finished runs. Requests ask for NAME; if not given, the file's.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on, 0 for any.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve.")] = 1,
    keys: Annotated[
        Path | None,
        typer.Option(help="File of API keys, as `eyebright key` makes it; then every request needs one of them."),
    ] = None,
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Let everyone ask, also on an address that others can reach.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute for each key.", show_default="no limit")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let the pages of this web origin ask; may be repeated."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Abstain below this probability.", show_default="never abstain")
    ] = None,
    target_error: Annotated[
        float | None,
        typer.Option(help="Abstain so that at most this share of the answers is wrong.", show_default="never abstain"),
    ] = None,
    conformal: Annotated[
        float | None,
        typer.Option(metavar="ALPHA", help="Give sets of classes, too; 0.1, say.", show_default="no sets"),
    ] = None,
    conformal_method: Annotated[
        str | None, typer.Option(metavar="lac|aps", help="How sets are made.", show_default="lac")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Keep to --conformal within each class.")] = False,
    unlike_share: Annotated[
        float | None,
        typer.Option(
            help="Of pictures like the validation images, this share may be called unlike.", show_default="0.01"
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Images that are computed at once.")] = 32,
    max_wait: Annotated[
        float, typer.Option(min=0, max=1000, help="Milliseconds that an image waits for others to join it.")
    ] = 0.0,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Images that may be at work or wait; for more the answer is 429.")
    ] = 512,
    max_images: Annotated[int, typer.Option(min=1, help="Pictures in one request.")] = 64,
    max_body: Annotated[int, typer.Option(min=1, help="Megabytes (2^20 bytes) of a request's body.")] = 32,
    max_pixels: Annotated[int, typer.Option(min=1, help="Pixels of a picture.")] = 50_000_000,
    decode_seconds: Annotated[float, typer.Option(min=0.01, help="Seconds to decode a picture.")] = 5.0,
    receive_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for a request to arrive.")] = 30.0,
    answer_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for its answer.")] = 10.0,
    watch_seconds: Annotated[
        float, typer.Option(min=0, help="How often files are looked at for changes, 0 for never. SIGHUP loads at once.")
    ] = 2.0,
    skip_golden: Annotated[
        bool, typer.Option("--skip-golden", help="Do not compute an artefact's golden images when it is loaded.")
    ] = False,
    ray: Ray = None,
    max_workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --ray: processes that serve while many ask; --workers are there in any case.",
            show_default="--workers",
        ),
    ] = None,
) -> None:
    """Serve classifiers over HTTP; Ctrl-C or SIGTERM ends it, when what has been asked is answered.

    POST /predict takes pictures and answers what `predict --json` prints. TensorFlow Serving's and the Open Inference
    Protocol's ways to ask are understood, too. See docs/reference/server.md.

    With --ray replicas of the server answer, on the machines of a cluster.
    """
    from eyebright.errors import SettingsError

    check_answer_flags(min_confidence, target_error, conformal, conformal_method, per_class)
    named = _named(models)
    if rate is not None and keys is None:
        raise SettingsError("--rate is for each key: give --keys FILE as well.")
    if max_queue < max_images:
        raise SettingsError(f"--max-queue {max_queue} has no room for the {max_images} pictures of --max-images.")
    _check_extra()
    _check_ray(ray, workers, max_workers)
    if keys is None and not no_keys and not _is_loopback(host):
        raise SettingsError(
            f"--host {host}: others can reach it. Give --keys FILE (see eyebright key), or say --no-keys if everyone "
            "may ask."
        )
    from eyebright.serving.options import AnswerOptions, Batching, Limits, processors
    from eyebright.serving.options import ServerOptions as Options

    options: ServerOptions = Options(
        models=named,
        answers=AnswerOptions(
            min_confidence, target_error, conformal, cast("ConformalMethod", conformal_method or "lac"), per_class,
            unlike_share,
        ),
        limits=Limits(
            body_bytes=max_body * 2**20,
            bytes_in_flight=max(8 * max_body, 256) * 2**20,
            images=max_images,
            pixels=max_pixels,
            decode_seconds=decode_seconds,
            receive_seconds=receive_seconds,
            answer_seconds=answer_seconds,
        ),
        batching=Batching(max_batch, max_wait / 1000, max_queue),
        skip_golden=skip_golden,
        keys=keys,
        rate=rate,
        origins=tuple(cors or ()),
        workers=workers,
        threads=max(1, processors() // workers),
        watch_seconds=watch_seconds,
    )  # fmt: skip
    if ray is not None:
        from eyebright.cluster.serving import serve as serve_on_cluster

        serve_on_cluster(options, host, port, ray, max_workers or workers)
        return
    from eyebright.serving.server import serve as run

    run(options, host, port)


def key(
    file: Annotated[Path, typer.Argument(help="File of keys; made where there is none.")],
    name: Annotated[str, typer.Argument(help="Whose key it is; it stands in the server's log.")],
) -> None:
    """Make an API key for `eyebright serve --keys FILE` and print it: the file keeps its hash alone.

    A running server takes it in at SIGHUP. To withdraw a key, remove its line.
    """
    from eyebright.serving.keys import new_key

    print(new_key(file, name))


def _named(models: list[str]) -> tuple[tuple[str, Path], ...]:
    """Names and paths; a name that is not given is that of the file.

    Raises:
        SettingsError: a name that cannot stand in an address, or that two have.
    """
    from eyebright.errors import SettingsError

    named: dict[str, Path] = {}
    for model in models:
        name, given, rest = model.partition("=")
        path = Path(rest if given else model)
        if not given:
            name = "".join(letter if letter in _SAFE else "-" for letter in path.resolve().name)
            name = name.removesuffix(".eyebright")
        if not name or set(name) - set(_SAFE):
            raise SettingsError(f"{model}: the name {name!r} must be of letters, digits, '.', '_' and '-' of ASCII.")
        if name in named:
            raise SettingsError(f"{model}: two models of the name {name}. Give another: OTHER={path}")
        named[name] = path
    return tuple(named.items())


def _is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_ray(ray: str | None, workers: int, max_workers: int | None) -> None:
    from eyebright.errors import SettingsError

    if ray is None:
        if max_workers is not None:
            raise SettingsError(f"--max-workers {max_workers}: a cluster starts more of them: give --ray as well.")
        return
    if max_workers is not None and max_workers < workers:
        raise SettingsError(f"--max-workers {max_workers}: less than --workers {workers}.")
    from eyebright.cluster.connection import check_address

    check_address(ray)


def _check_extra() -> None:
    """Refuse to serve without the libraries for it.

    Raises:
        MissingExtraError: one of them is not here.
    """
    from importlib.util import find_spec

    from eyebright.errors import MissingExtraError

    if not all(find_spec(name) for name in ("fastapi", "uvicorn", "prometheus_client", "python_multipart")):
        raise MissingExtraError("The server", "serve")
