"""`eyebright export --format web`: a classifier as a page that runs it in the browser."""

from __future__ import annotations

from pathlib import Path

from eyebright.cli.output import print_json

NAME = "web"  # of the format


def check_page_flags(format: str, quantize: str | None, **of_pages: object) -> None:  # noqa: A002 - the option's name
    """Refuse what a format has no use for.

    Args:
        format: that was asked for.
        quantize: how to make numbers smaller, which a page's are not.
        of_pages: what only a page takes; None where it was not given.

    Raises:
        SettingsError: naming the flag.
    """
    from eyebright.errors import SettingsError

    if format == NAME and quantize is not None:
        raise SettingsError(f"--quantize {quantize}: the page computes in float32. Leave it out.")
    given = [name.replace("_", "-") for name, value in of_pages.items() if value is not None]
    if format != NAME and given:
        raise SettingsError(f"--{given[0]} is for a page: give --format {NAME} as well, or leave it out.")


def write_page(
    path: Path,
    output: Path | None,
    *,
    name: str | None,
    min_confidence: float | None,
    target_error: float | None,
    unlike_share: float | None,
    web_runtime: Path | None,
    json: bool,
) -> None:
    """Write the page, and say where it is and how to look at it.

    Args:
        path: a run or an artefact.
        output: the folder; of a run, RUN/export/web if not given, of an artefact, one beside it.
        name: the page's title.
        min_confidence: as `predict` has it; so are the next two.
        target_error: …
        unlike_share: …
        web_runtime: onnxruntime-web's archive, where it is not in the package.
        json: whether to print JSON.
    """
    from eyebright.cli.predict import check_answer_flags

    check_answer_flags(min_confidence, target_error, None, None, False)
    from eyebright.serving.options import AnswerOptions
    from eyebright.serving.static_page import export_page
    from eyebright.storage import make_directory

    target = output or (path.with_name(f"{path.stem}-{NAME}") if path.is_file() else path / "export" / NAME)
    if output is None:
        make_directory(target.parent)
    options = AnswerOptions(min_confidence=min_confidence, target_error=target_error, unlike_share=unlike_share)
    export_page(path, target, options, name=name, archive=web_runtime)
    size = sum(file.stat().st_size for file in target.iterdir())
    if json:
        print_json({"path": str(target), "bytes": size, "format": NAME})
        return
    print(f"{target}: {size:,} bytes. Publish the folder, or look at it here (from disk it can load nothing):")
    print(f"  python -m http.server --directory {target}")
