"""The REST API of TensorFlow Serving: predict, status and metadata of a model.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from eyebright.errors import ImageError
from eyebright.serving.bodies import check_count, picture_bytes
from eyebright.serving.health import check_version
from eyebright.serving.json_bodies import check_keys
from eyebright.serving.model import VERSION, ServedModel
from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal, documented
from eyebright.serving.service import Service
from eyebright.serving.tensors import images_of

_INPUT, _OUTPUT, _SIGNATURE = "images", "probabilities", "serving_default"
_KNOWN = {"signature_name", "instances", "inputs"}
Name = Annotated[str, Path(description="The model's name.")]
Version = Annotated[str, Path(description="The model's version: there is one, 1.")]

_B64 = {
    "type": "object",
    "required": ["b64"],
    "additionalProperties": False,
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
}
_PIXELS = {
    "description": "Pixels, uint8 [H, W, C].",
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
}


def _body(limits: Limits) -> dict[str, Any]:
    """What `:predict` takes, for its description."""
    images = {"type": "array", "minItems": 1, "maxItems": limits.images, "items": {"anyOf": [_B64, _PIXELS]}}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "signature_name": {"const": _SIGNATURE},
            "instances": {"description": "A row an image.", **images},
            "inputs": {"description": "Or all of them under the name of the input.", **images},
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    }
    example = {"instances": [{"b64": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD…"}]}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def router(service: Service) -> APIRouter:
    """`/v1/models/NAME`, its `/metadata` and `:predict`, with a version or without."""
    routes = APIRouter(prefix="/v1/models", tags=["TensorFlow Serving"])
    asked = documented(400, 401, 404, 408, 413, 415, 422, 429)
    body = {"requestBody": _body(service.limits)}

    @routes.post("/{name}:predict", responses=asked, openapi_extra=body)
    async def predict(request: Request, name: Name) -> dict[str, Any]:
        """Probabilities of images: `predictions` for `instances`, `outputs` for `inputs`.

        An image is an array of pixels, uint8 [H, W, C] of the model's size, or `{"b64": …}`, a picture of any size.
        """
        return await _predict(service, request, name)

    @routes.post("/{name}/versions/{version}:predict", responses=asked, openapi_extra=body)
    async def predict_by_version(request: Request, name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return await _predict(service, request, name)

    @routes.get("/{name}", responses=documented(401, 404, 429))
    async def status(name: Name) -> dict[str, Any]:
        """Whether the model can be asked."""
        service.models.get(name)
        state = "UNLOADING" if service.draining else "AVAILABLE"
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": VERSION, "state": state, "status": status}]}

    @routes.get("/{name}/versions/{version}", responses=documented(401, 404, 429))
    async def status_by_version(name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return await status(name)

    @routes.get("/{name}/metadata", responses=documented(401, 404, 429))
    async def metadata(name: Name) -> dict[str, Any]:
        """What the model takes and gives."""
        return _metadata(service.models.get(name).model)

    @routes.get("/{name}/versions/{version}/metadata", responses=documented(401, 404, 429))
    async def metadata_by_version(name: Name, version: Version) -> dict[str, Any]:
        """The same of a version."""
        check_version(version)
        return _metadata(service.models.get(name).model)

    return routes


async def _predict(service: Service, request: Request, name: str) -> dict[str, Any]:
    entry = service.models.get(name)
    rows, images = await service.json.read(
        request, entry.model.image_shape, partial(_read, model=entry.model, limits=service.limits)
    )
    answers = await service.answers(request, entry, images)
    probabilities = []
    for number, answer in enumerate(answers):
        if isinstance(answer, ImageError):
            raise Refusal(422, f"image {number}: {answer}")
        probabilities.append(answer.probabilities.tolist())
    return {"predictions" if rows else "outputs": probabilities}


def _read(body: dict[str, Any], model: ServedModel, limits: Limits) -> tuple[bool, list[Any]]:
    """Whether a request asks by rows, and its images: arrays of pixels, or the bytes of pictures."""
    check_keys(body, _KNOWN)
    if body.get("signature_name", _SIGNATURE) != _SIGNATURE:
        raise Refusal(404, f"There is one signature, {_SIGNATURE}.")
    if ("instances" in body) == ("inputs" in body):
        raise Refusal(400, "Give either instances, a list with an entry an image, or inputs.")
    rows = "instances" in body
    values = body["instances"] if rows else body["inputs"]
    if not rows and isinstance(values, dict) and values.keys() == {_INPUT}:
        values = values[_INPUT]
    if not isinstance(values, list) or not values:
        raise Refusal(400, f"{'instances' if rows else 'inputs'}: a list of images is due, with one at least.")
    check_count(len(values), limits)
    if rows:
        values = [value[_INPUT] if isinstance(value, dict) and value.keys() == {_INPUT} else value for value in values]
    return rows, [_image(value, model, f"image {number}", limits) for number, value in enumerate(values)]


def _image(value: Any, model: ServedModel, where: str, limits: Limits) -> Any:
    if isinstance(value, dict) and value.keys() == {"b64"}:
        content = picture_bytes(value["b64"], where)
        if isinstance(content, ImageError):
            raise Refusal(400, str(content))
        return content
    return images_of([value], model.image_shape, where, limits)[0]


def _metadata(model: ServedModel) -> dict[str, Any]:
    signature = {
        "inputs": {_INPUT: _tensor(_INPUT, "DT_UINT8", [-1, *model.image_shape])},
        "outputs": {_OUTPUT: _tensor(_OUTPUT, "DT_FLOAT", [-1, len(model.class_names)])},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": sizes, "unknown_rank": False}, "name": name}
