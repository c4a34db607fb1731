"""The server does what its OpenAPI description says: schemathesis asks all of it, validly and not."""

import base64
from io import BytesIO

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis import GenerationMode

KINDS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
IMAGE = [[[0, 100, 255]] * 5] * 6


def picture(colour, kind="PNG"):
    file = BytesIO()
    Image.new("RGB", (7, 9), colour).save(file, kind)
    return file.getvalue()


for media_type, kind in KINDS.items():
    schemathesis.openapi.media_type(media_type, COLOURS.map(lambda colour, kind=kind: picture(colour, kind)))
schemathesis.openapi.media_type("application/octet-stream", COLOURS.map(picture))
schemathesis.openapi.format("binary", COLOURS.map(picture))


@pytest.fixture(scope="module")
def description(served):
    return served.get("/openapi.json").json()


@pytest.fixture(scope="module")
def api(served, description):
    """The description, in which what it leaves open is what this server has: its model, and pictures in base64."""
    schema = schemathesis.openapi.from_dict(filled_in(description))
    schema.config.update(base_url=served.url)
    return schema


def filled_in(part):
    if isinstance(part, list):
        return [filled_in(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("contentEncoding") == "base64":
        return {"enum": [base64.b64encode(picture((n, 2 * n, 255))).decode() for n in (0, 50, 100)]}
    if part.get("in") == "path":
        return {**part, "schema": {"enum": ["made" if part["name"] == "name" else "1"]}}
    if part.get("title") == "InputTensor":
        return {"enum": [{"name": "images", "datatype": "UINT8", "shape": [1, 6, 5, 3], "data": [IMAGE]}]}
    if part.get("description") == "Pixels, uint8 [H, W, C].":
        return {"enum": [IMAGE]}
    return {key: filled_in(value) for key, value in part.items()}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_does_what_its_description_says(mode, api):
    for operation in (result.ok() for result in api.get_all_operations()):
        try:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            @given(case=strategy)
            def holds(case):
                case.call_and_validate()

            holds()
        except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
            assert mode is GenerationMode.NEGATIVE


def test_every_operation_is_described_with_its_errors(description):
    assert len(description["paths"]) == 21
    for path, operations in description["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert operation["tags"], path
            if "requestBody" in operation:
                assert {"400", "401", "413", "422", "429"} <= operation["responses"].keys(), path
