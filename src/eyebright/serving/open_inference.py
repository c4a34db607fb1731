"""The Open Inference Protocol, version 2, over HTTP with JSON.

https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright import __version__
from eyebright.errors import ImageError
from eyebright.html_page import plain_text
from eyebright.serving.bodies import check_count, picture_bytes
from eyebright.serving.health import check_ready, check_version
from eyebright.serving.json_bodies import check_keys
from eyebright.serving.model import VERSION, ServedModel
from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal, documented
from eyebright.serving.service import Service
from eyebright.serving.tensors import images_of

_INPUT = "images"
_MOST_ITEMS = 2  # of inputs and of outputs
Name = Annotated[str, Path(description="The model's name.")]
Version = Annotated[str, Path(description="The model's version: there is one, 1.")]


class InputTensor(BaseModel):
    """The images: pixels UINT8 [N, H, W, C] of the model's size, or pictures in base64 as BYTES [N]."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["images"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, max_length=4)
    datatype: Literal["UINT8", "BYTES"]
    data: list[Any] = Field(min_length=1)
    parameters: dict[str, Any] = {}


class RequestedOutput(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["probabilities", "labels"]
    parameters: dict[str, Any] = {}


class InferenceRequest(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = Field(
        None, max_length=_MOST_ITEMS, description="Which outputs, each once; all, if not given."
    )
    parameters: dict[str, Any] = {}


_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/InferenceRequest"},
            "example": {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["/9j/4AAQSkZJRg…"]}]},
        }
    },
}


def router(service: Service) -> APIRouter:
    """All of `/v2`."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    known = documented(401, 404, 429)
    asked = documented(400, 401, 404, 408, 413, 415, 422, 429)

    @routes.get("", responses=documented(401, 429))
    async def server() -> dict[str, Any]:
        """What serves."""
        return {"name": "eyebright", "version": __version__, "extensions": []}

    @routes.get("/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process answers at all."""
        return {"live": True}

    @routes.get("/health/ready", responses=documented(503))
    async def ready() -> dict[str, bool]:
        """Whether all models can be asked."""
        check_ready(service)
        return {"ready": True}

    @routes.get("/models/{name}", responses=known)
    async def metadata(name: Name) -> dict[str, Any]:
        """What a model takes and gives."""
        return _metadata(service.models.get(name).model)

    @routes.get("/models/{name}/versions/{version}", responses=known)
    async def metadata_by_version(name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return _metadata(service.models.get(name).model)

    @routes.get("/models/{name}/ready", responses={**known, **documented(503)})
    async def model_ready(name: Name) -> dict[str, Any]:
        """Whether a model can be asked."""
        service.models.get(name)
        check_ready(service)
        return {"name": name, "ready": True}

    @routes.get("/models/{name}/versions/{version}/ready", responses={**known, **documented(503)})
    async def model_ready_by_version(name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return await model_ready(name)

    @routes.post("/models/{name}/infer", responses=asked, openapi_extra={"requestBody": _BODY})
    async def infer(request: Request, name: Name) -> dict[str, Any]:
        """Probabilities and the likeliest class of each image."""
        return await _infer(service, request, name)

    @routes.post("/models/{name}/versions/{version}/infer", responses=asked, openapi_extra={"requestBody": _BODY})
    async def infer_by_version(request: Request, name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return await _infer(service, request, name)

    return routes


async def _infer(service: Service, request: Request, name: str) -> dict[str, Any]:
    entry = service.models.get(name)
    if "inference-header-content-length" in request.headers:
        raise Refusal(415, "The binary extension is not spoken here: send the data as JSON (binary_data=False).")
    asked = await service.json.read(
        request, entry.model.image_shape, partial(_read, model=entry.model, limits=service.limits)
    )
    answers = await service.answers(request, entry, asked.images)
    rows = []
    for number, answer in enumerate(answers):
        if isinstance(answer, ImageError):
            raise Refusal(422, f"image {number}: {answer}")
        rows.append(answer.probabilities)
    given = {
        "model_name": name,
        "model_version": VERSION,
        "outputs": [_output(what, rows, entry.model) for what in asked.outputs],
    }
    return given if asked.id is None else {"id": asked.id, **given}


class _Asked(NamedTuple):
    """What was asked: images as arrays, or the bytes of pictures; and which outputs are to be given."""

    id: str | None
    images: list[Any]
    outputs: list[str]


def _read(body: dict[str, Any], model: ServedModel, limits: Limits) -> _Asked:
    _check_keys(body)
    try:
        asked = InferenceRequest.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise Refusal(400, f"{where}: {problem['msg']}") from error
    if asked.id is not None and asked.id != plain_text(asked.id):
        raise Refusal(400, "id: it has half a character, which no answer could repeat.")
    outputs: list[str] = [output.name for output in asked.outputs or ()]
    if len(set(outputs)) < len(outputs):
        raise Refusal(400, "outputs: one of them is asked for twice.")
    return _Asked(asked.id, _images(asked.inputs[0], model, limits), outputs or ["probabilities", "labels"])


def _check_keys(body: dict[str, Any]) -> None:
    """Refuse unknown keys here: pydantic makes an error, with all that is around it, of each."""
    check_keys(body, InferenceRequest.model_fields)
    for name, fields in (("inputs", InputTensor.model_fields), ("outputs", RequestedOutput.model_fields)):
        items = body.get(name)
        for number, item in enumerate(items[:_MOST_ITEMS] if isinstance(items, list) else ()):
            if isinstance(item, dict):
                check_keys(item, fields, f"{name}.{number}")


def _images(tensor: InputTensor, model: ServedModel, limits: Limits) -> list[Any]:
    """Arrays of pixels, or the bytes of pictures."""
    if tensor.datatype == "UINT8":
        images = images_of(tensor.data, model.image_shape, _INPUT, limits)
        if tensor.shape != list(images.shape):
            raise Refusal(400, f"{_INPUT}: shape {tensor.shape}, but the data are of {list(images.shape)}.")
        return list(images)
    if tensor.shape != [len(tensor.data)]:
        raise Refusal(400, f"{_INPUT}: shape {tensor.shape}, but there are {len(tensor.data)} pictures.")
    check_count(len(tensor.data), limits)
    contents = [picture_bytes(text, f"image {number}") for number, text in enumerate(tensor.data)]
    for content in contents:
        if isinstance(content, ImageError):
            raise Refusal(400, str(content))
    return contents


def _output(what: str, rows: list[Any], model: ServedModel) -> dict[str, Any]:
    if what == "labels":
        labels = [model.class_names[int(row.argmax())] for row in rows]
        return {"name": what, "datatype": "BYTES", "shape": [len(rows)], "data": labels}
    values = [value for row in rows for value in row.tolist()]
    return {"name": what, "datatype": "FP32", "shape": [len(rows), len(model.class_names)], "data": values}


def _metadata(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": _INPUT, "datatype": "UINT8", "shape": [-1, *model.image_shape]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(model.class_names)]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        ],
    }
