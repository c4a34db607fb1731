"""Pages in HTML: one file each, which loads nothing from anywhere. Whatever a template is given is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from eyebright.errors import MissingExtraError


def render_page(package: str, template: str, **values: Any) -> bytes:
    """Fill a template.

    Args:
        package: in which the template lies, and all that it includes.
        template: its file's name.
        values: by name. Text is escaped; what is no text in UTF-8 is shown with backslashes, not lost.

    Returns:
        The page, in UTF-8. The same values give the same bytes.

    Raises:
        MissingExtraError: Jinja is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("A page", "train") from error
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return plain_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: read_part(package, name)),
        autoescape=True,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(values).encode()


def read_part(package: str, name: str) -> str:
    """A file of a package: a template, a style sheet or a script."""
    return (resources.files(package) / name).read_text("utf-8")


def plain_text(text: str) -> str:
    r"""Text as UTF-8 can hold it: a file's name need not be any.

    >>> plain_text("caf\udce9.png")
    'caf\\udce9.png'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def json_in_page(value: Any) -> str:
    r"""JSON as it may stand between script tags: nothing in it can end them.

    >>> json_in_page("</script>")
    '"\\u003c/script>"'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def script_hash(script: str) -> str:
    """What a content security policy names a script by, which may then run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
