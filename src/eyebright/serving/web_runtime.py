"""ONNX Runtime for browsers, which the exported page brings along: onnxruntime-web's build for the processor alone.

It is no part of the repository. `make web-runtime` has npm fetch its archive and runs this module on it, which puts its
files beside the page's, in the package; a package that is built after that has them, too. Whoever has a package without
them gives the archive itself.
"""

from __future__ import annotations

import sys
import tarfile
from importlib import resources
from pathlib import Path

from eyebright.errors import EyebrightError, StorageError
from eyebright.storage import sha256, write_file

NAME, VERSION = "onnxruntime-web", "1.30.0"
PACKAGE = f"{NAME}@{VERSION}"  # as npm calls it
# In the page's folder: (name in the archive, bytes, SHA-256). Servers send `.js` as JavaScript, not all of them `.mjs`.
FILES = {
    "onnxruntime-web.js": (
        "package/dist/ort.wasm.bundle.min.mjs",
        73_054,
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "onnxruntime-web.wasm": (
        "package/dist/ort-wasm-simd-threaded.wasm",
        14_239_897,
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}
_FOLDER = "in_browser"


def web_runtime(archive: Path | None = None) -> dict[str, bytes]:
    """The files of the runtime, by their names in the page's folder, verified by their SHA-256.

    Args:
        archive: the package's archive, as `npm pack` fetches it; None for the files in this package.

    Raises:
        StorageError: they are not there, or not those that they should be. The message says how to get them.
    """
    if archive is not None:
        return _from_archive(archive)
    folder = resources.files("eyebright.serving") / _FOLDER
    found: dict[str, bytes] = {}
    for name in FILES:
        try:
            found[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            raise StorageError(
                f"A page that runs the classifier in the browser brings {NAME} along, which is not here. Fetch it "
                f"with: npm pack {PACKAGE}   Then give what that wrote: --web-runtime {NAME}-{VERSION}.tgz   (In a "
                "checkout of the repository, once for all: make web-runtime)"
            ) from None
        _verify(found[name], name, str(folder / name))
    return found


def _from_archive(archive: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name, (member, length, _) in FILES.items():
                content = tar.extractfile(member)
                found[name] = b"" if content is None else content.read(length + 1)
    except (OSError, tarfile.TarError, EOFError, KeyError) as error:
        raise StorageError(f"{archive}: cannot be read as the archive of {PACKAGE}: {error}. {_again()}") from error
    for name in FILES:
        _verify(found[name], name, str(archive))
    return found


def _verify(content: bytes, name: str, place: str) -> None:
    member, _, expected = FILES[name]
    if sha256(content) != expected:
        raise StorageError(f"{place}: {member} is not that of {PACKAGE}, or is damaged. {_again()}")


def _again() -> str:
    return f"Fetch it anew with: npm pack {PACKAGE}"


def main(arguments: list[str]) -> int:
    """Put an archive's files into this package; without one, print what npm is to fetch."""
    if not arguments:
        sys.stdout.write(f"{PACKAGE}\n")
        return 0
    folder = Path(__file__).parent / _FOLDER
    try:
        for name, content in web_runtime(Path(arguments[0])).items():
            write_file(folder / name, content)
    except EyebrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
