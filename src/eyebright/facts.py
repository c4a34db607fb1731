"""What an artefact knows of the run that its classifier comes from, as it is read: `about.json`.

`packaging/facts.py` writes it. There may be more in it than is asked for here; what is asked for must be of its type.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from eyebright.artefact import ABOUT
from eyebright.errors import ClassifierError


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Test(_Part):
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    images: int | None = None


class _Data(_Part):
    name: str | None = None
    training_images: int | None = None


class _Facts(_Part):
    licence: str | None = None
    test: _Test = _Test()
    data: _Data = _Data()


def facts_from_part(content: bytes) -> dict[str, Any]:
    """The facts of a run from the bytes of an artefact's `about.json`.

    Raises:
        ClassifierError: it is no JSON, or something that others rely on is of another type.
    """
    try:
        _Facts.model_validate_json(content)  # refuses as well what is nested too deeply for the next line
        facts: dict[str, Any] = json.loads(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ClassifierError(f"{ABOUT}: {where + ': ' if where else ''}{first['msg']}.") from error
    except ValueError as error:
        raise ClassifierError(f"{ABOUT}: no JSON: {error}.") from error
    return facts
