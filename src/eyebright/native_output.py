"""What libraries of C and C++ write to standard error past Python, held back."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Hold back what native code writes to standard error; show it only where what is done meanwhile fails.

    TensorFlow logs at its import and in its converter whatever its log level, and Ray which level it has.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed: nobody reads it, and nothing else may be opened as number 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
