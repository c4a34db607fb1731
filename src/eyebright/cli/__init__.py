"""The command line: one thin file a command. Heavy libraries are imported inside the commands."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Annotated

import typer

from eyebright.cli import cache
from eyebright.cli.calibrate import calibrate
from eyebright.cli.check import check
from eyebright.cli.compare import compare
from eyebright.cli.datasets import datasets
from eyebright.cli.evaluate import evaluate
from eyebright.cli.explain import explain
from eyebright.cli.export import export
from eyebright.cli.find_lr import find_lr
from eyebright.cli.inspect import inspect
from eyebright.cli.options import with_address_of_ray
from eyebright.cli.package import package
from eyebright.cli.plot import plot
from eyebright.cli.predict import predict
from eyebright.cli.report import report
from eyebright.cli.reproduce import reproduce
from eyebright.cli.robustness import robustness
from eyebright.cli.runs import runs
from eyebright.cli.serve import key, serve
from eyebright.cli.shard import shard
from eyebright.cli.show_batch import show_batch
from eyebright.cli.tensorboard import tensorboard
from eyebright.cli.train import train
from eyebright.cli.tune import tune
from eyebright.errors import EyebrightError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: thirty options need the whole width, and rich costs a quarter of the start
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: eyebright train",
)
for command in (
    train, tune, check, find_lr, evaluate, report, calibrate, inspect, robustness, compare, runs, reproduce, package,
    export, predict, serve, key, explain, plot, show_batch, shard, tensorboard, datasets,
):  # fmt: skip
    app.command()(command)
app.add_typer(cache.app, name="cache")


# What writing to standard output fails with. Any other error of the operating system has another cause.
_OUTPUT_ERRORS = {errno.EAGAIN, errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}


def _print_version(wanted: bool) -> None:
    if wanted:
        from eyebright import __version__

        print(f"eyebright {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _eyebright(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """From labelled images to an image classifier that you can trust, reproduce and put to work."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line; exit with 0, 2 for what the user can mend, 128 + n after signal n, 1 for our own faults."""
    os.environ["EYEBRIGHT_LEAN_IMPORTS"] = "1"  # see backend.py, which is not imported for its name
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not fit the encoding of standard output
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(with_address_of_ray(sys.argv[1:]), standalone_mode=False, prog_name="eyebright")
        if code == 130:  # Ctrl-C where nothing had to be saved
            _complain("Interrupted.")
        print(end="", flush=True)  # here, where what goes wrong can still be said
    except EyebrightError as error:
        _complain(f"{type(error).__name__}: {error}")
        code = error.exit_code
    except typer.TyperException as error:  # an unknown option, a missing argument, a number that is none
        _complain(error.format_message())
        code = 2
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _forget_output()
        code = 1
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
            raise  # of a file or a connection, and nobody explained it: a fault of ours
        _forget_output()
        _complain(f"Standard output cannot be written: {error.strerror}.")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _forget_output() -> None:
    """Let Python's own last flush, of what could not be written, go nowhere instead of failing again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    """One message on standard error, as it is: never wrapped, no markup."""
    print(message, file=sys.stderr)
