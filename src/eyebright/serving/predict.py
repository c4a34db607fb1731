"""`POST /predict`: pictures in, what `eyebright predict --json` prints out; `GET /about` and `POST /explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from eyebright.serving.bodies import check_count, read_uploads
from eyebright.serving.options import Limits
from eyebright.serving.refusals import documented
from eyebright.serving.service import Service

Model = Annotated[str | None, Query(description="Which model; the first, if not given.")]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURES = dict.fromkeys(("image/jpeg", "image/png", "image/webp", "application/octet-stream"), _BINARY)
_ONE_PICTURE = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["image"], "properties": {"image": _BINARY["schema"]}}
        },
        **_PICTURES,
    },
}
# A picture of one pixel.
_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


def _body(limits: Limits) -> dict[str, Any]:
    """What `/predict` takes, for its description."""
    many = {"type": "array", "minItems": 1, "maxItems": limits.images}
    form = {"type": "object", "required": ["images"], "properties": {"images": {**many, "items": _BINARY["schema"]}}}
    coded = {**many, "items": {"type": "string", "contentEncoding": "base64"}}
    json = {"type": "object", "required": ["images"], "additionalProperties": False, "properties": {"images": coded}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": json, "example": {"images": [_EXAMPLE]}},
            **_PICTURES,
        },
    }


class ClassProbability(BaseModel):
    """A class and how likely it is."""

    label: str
    probability: float = Field(ge=0, le=1.000001)


class PictureAnswer(BaseModel):
    """What is said of one picture; `error` alone beside `image` where it could not be read."""

    image: str = Field(description="The file's name, or the picture's number in the request.", examples=["cat.jpg"])
    label: str | None = Field(None, description="The likeliest class.")
    probability: float | None = None
    top: list[ClassProbability] | None = Field(None, description="The likeliest classes, the first the likeliest.")
    abstained: bool | None = Field(None, description="Not sure: the probability is below the server's threshold.")
    set: list[str] | None = Field(None, description="A conformal set of classes.")
    unlike_training: bool | None = Field(None, description="Unlike all that the model was trained on.")
    error: str | None = Field(None, description="Why the picture could not be read.")


def router(service: Service) -> APIRouter:
    """`/predict`, `/about` and `/explain`."""
    routes = APIRouter(tags=["predict"])

    @routes.post(
        "/predict",
        response_model=list[PictureAnswer],
        response_model_exclude_unset=True,
        responses={
            **documented(400, 401, 404, 408, 413, 415, 429),
            422: {"description": "None of the pictures could be read (an array), or a parameter is out of range."},
        },
        openapi_extra={"requestBody": _body(service.limits)},
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, description="How many classes to name for each picture.")] = 5,
        model: Model = None,
    ) -> JSONResponse:
        """Name what pictures show, with probabilities.

        Send one or several as files of a form, one as it is, or several as base64 in JSON. The answers are in the
        order of the pictures. A picture that cannot be read does not stop the others; its answer has an `error`.
        """
        entry = service.models.get(model)
        uploads = await read_uploads(request, service.limits, service.json)
        check_count(len(uploads), service.limits)
        predictions = await service.predictions(request, entry, uploads, top)
        all_failed = all(prediction.error is not None for prediction in predictions)
        return JSONResponse([prediction.to_dict() for prediction in predictions], 422 if all_failed else 200)

    @routes.get("/about", responses=documented(401, 404, 422, 429))
    async def about(model: Model = None) -> dict[str, Any]:
        """What a model knows, how good it is, and what it can say besides."""
        description = service.models.get(model).model.describe()
        return {**description, "models": [other.name for other in service.models]}

    @routes.post(
        "/explain",
        response_class=Response,
        responses={200: {"content": {"image/png": _BINARY}}, **documented(400, 401, 404, 408, 413, 415, 422, 429)},
        openapi_extra={"requestBody": _ONE_PICTURE},
    )
    async def explain(request: Request, model: Model = None) -> Response:
        """Show where in a picture the evidence for the likeliest class lies: a PNG, bright where it is.

        Parts of the picture are hidden, one after the other; bright is what the class loses probability without.
        """
        entry = service.models.get(model)
        uploads = await read_uploads(request, service.limits, service.json)
        check_count(len(uploads), replace(service.limits, images=1))
        return Response(await service.explanation(request, entry, uploads[0]), media_type="image/png")

    return routes
