"""Commands that messages suggest, written so that they can be copied into the shell that got the message."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command(*arguments: object) -> str:
    """An `eyebright` command, called as this program was called, its arguments quoted for a shell.

    >>> command("train", "--resume", "runs/two words").split(" ", 1)[1].endswith("train --resume 'runs/two words'")
    True
    """
    return f"{_program()} {shlex.join(map(str, arguments))}"


def _program() -> str:
    if shutil.which("eyebright"):
        return "eyebright"
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.stem == "eyebright" else f"{shlex.quote(sys.executable)} -m eyebright"
