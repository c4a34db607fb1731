"""Run the tutorial as a reader would: its commands and snippets, in order. `make pictures` does, and so do the tests.

    python docs/tutorial/run.py [--data PATH] [PART …]

Everything happens in build/tutorial; the pictures that the text shows are then copied to docs/images. A block after a
line `<!-- long -->` is left out here: it trains for many minutes and makes no picture.
"""
# ruff: noqa: INP001, T201, S603 - a script of commands that this repository holds

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PARTS = sorted(FOLDER.glob("part-*.md"))
IMAGES = FOLDER.parent / "images"
_BLOCK = re.compile(r"^(<!-- long -->\n+)?```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]+\]\(\.\./images/([\w.-]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: `language` is sh or python, `line` where it stands in its file."""

    file: str
    line: int
    language: str
    code: str
    long: bool


def read_blocks(part: Path) -> list[Block]:
    """The blocks of a part that are commands or snippets, in order."""
    text = part.read_text(encoding="utf-8")
    return [
        Block(part.name, text.count("\n", 0, match.start(3)), match[2], match[3], match[1] is not None)
        for match in _BLOCK.finditer(text)
    ]


def shown_pictures(part: Path) -> list[str]:
    """The file names of the pictures that a part shows."""
    return _PICTURE.findall(part.read_text(encoding="utf-8"))


def run_block(block: Block, names: dict[str, Any], command: Callable[[list[str]], None]) -> None:
    """Run a block in the current directory.

    Args:
        block: what to run.
        names: what the snippets before it defined; added to.
        command: runs a command line of one program and raises where it fails.
    """
    if block.language == "python":
        # As many empty lines before it as the file has, so that a traceback names the line of the file.
        exec(compile("\n" * block.line + block.code, block.file, "exec"), names)  # noqa: S102
        return
    for line in block.code.replace("\\\n", " ").splitlines():
        command(shlex.split(line))


def run_command(arguments: list[str]) -> None:
    """Run a command of this environment; one that serves a page until it has said where."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if arguments[1] == "tensorboard":
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(arguments, env=environment, **pipes) as server:
            lines = []
            for line in server.stdout:
                lines.append(line)
                if "http://" in line:
                    break
            server.terminate()
        if "http://" not in "".join(lines[-1:]):
            raise ChildProcessError(f"{shlex.join(arguments)}: ended without an address:\n{''.join(lines)}")
        print(lines[-1], end="")
        return
    subprocess.run(arguments, env=environment, check=True)


def main() -> None:
    """Run the parts and copy their pictures."""
    parser = argparse.ArgumentParser(description="Run the tutorial and draw its pictures anew.")
    parser.add_argument("--data", help="directory of CIFAR-10; without it, it is downloaded")
    parser.add_argument("parts", nargs="*", type=Path, default=PARTS, help="Markdown files (default: all)")
    options = parser.parse_args()
    data = str(Path(options.data).resolve()) if options.data else "cifar10"
    parts = [part.resolve() for part in options.parts]
    work = FOLDER.parents[1] / "build" / "tutorial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with contextlib.chdir(work):
        for part in parts:
            names: dict[str, Any] = {"__name__": part.stem}
            for block in read_blocks(part):
                if not block.long:
                    print(f"--- {block.file}, line {block.line}", flush=True)
                    run_block(block_on(block, data), names, run_command)
            for picture in shown_pictures(part):
                shutil.copy(picture, IMAGES / picture)


def block_on(block: Block, data: str) -> Block:
    """The block with its data set `cifar10` replaced by a path."""
    before, after = ('load_dataset("cifar10")', f"load_dataset({data!r})")
    if block.language == "sh":
        before, after = (" cifar10 ", f" {shlex.quote(data)} ")
    return Block(block.file, block.line, block.language, block.code.replace(before, after), block.long)


if __name__ == "__main__":
    main()
