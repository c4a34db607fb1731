"""As https://www.tensorflow.org/tfx/serving/api_rest documents it."""

import base64
import json

import numpy as np
import pytest

PREDICT = "/v1/models/made:predict"


@pytest.fixture(scope="module")
def expected(made, images):
    return made(0).probabilities(images)


@pytest.fixture(scope="module")
def coded(pngs):
    return [{"b64": base64.b64encode(png).decode()} for png in pngs]


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/made/versions/1:predict"])
def test_rows_of_pixels_get_rows_of_probabilities(path, served, images, expected):
    answer = served.post(path, json={"signature_name": "serving_default", "instances": images[:3].tolist()})
    assert answer.json().keys() == {"predictions"}
    np.testing.assert_allclose(answer.json()["predictions"], expected[:3], atol=1e-5)


def test_pictures_may_be_given_as_b64(served, coded, expected):
    answer = served.post(PREDICT, json={"instances": coded[:2]})
    np.testing.assert_allclose(answer.json()["predictions"], expected[:2], atol=1e-5)


def test_the_input_may_be_named(served, images, coded, expected):
    answer = served.post(PREDICT, json={"instances": [{"images": images[0].tolist()}, {"images": coded[1]}]})
    np.testing.assert_allclose(answer.json()["predictions"], expected[:2], atol=1e-5)


@pytest.mark.parametrize("named", [False, True])
def test_columns_are_answered_as_outputs(named, served, images, expected):
    inputs = {"images": images[:2].tolist()} if named else images[:2].tolist()
    answer = served.post(PREDICT, json={"inputs": inputs})
    assert answer.json().keys() == {"outputs"}
    np.testing.assert_allclose(answer.json()["outputs"], expected[:2], atol=1e-5)


def test_the_bodys_type_does_not_matter_as_for_curl(served, images):
    body = json.dumps({"instances": images[:1].tolist()})
    answer = served.post(PREDICT, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"instances": []}, 400),
        ({"instances": 1}, 400),
        ({"instances": [1]}, 400),
        ({"instances": [[[["a"]]]]}, 400),
        ({"instances": [[[1, 2], [3]]]}, 400),
        ({"instances": [[[[0.5] * 3] * 5] * 6]}, 400),
        ({"instances": [[[[256] * 3] * 5] * 6]}, 400),
        ({"instances": [[[[-1] * 3] * 5] * 6]}, 400),
        ({"instances": [[[[10**400] * 3] * 5] * 6]}, 400),
        ({"instances": [[[[1] * 3] * 5] * 7]}, 400),
        ({"instances": [{"b64": "*"}]}, 400),
        ({"instances": [{"b64": "aaaa"}]}, 422),
        ({"instances": [{"b64": 1}]}, 400),
        ({"instances": [[[[1] * 3] * 5] * 6], "inputs": []}, 400),
        ({"instances": [[[[1] * 3] * 5] * 6] * 9}, 400),
        ({"instances": [[[[1] * 3] * 5] * 6], "signature_name": "other"}, 404),
    ],
)
def test_what_is_no_request_is_refused_as_json(body, status, served):
    answer = served.post(PREDICT, json=body)
    assert (answer.status_code, answer.json().keys()) == (status, {"error"}), answer.text


def test_status_and_metadata(served):
    (status,) = served.get("/v1/models/made").json()["model_version_status"]
    assert (status["version"], status["state"], status["status"]["error_code"]) == ("1", "AVAILABLE", "OK")
    assert served.get("/v1/models/made/versions/1").json() == {"model_version_status": [status]}
    metadata = served.get("/v1/models/made/metadata").json()
    assert metadata["model_spec"] == {"name": "made", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    shape = signature["inputs"]["images"]["tensor_shape"]["dim"]
    assert [size["size"] for size in shape] == ["-1", "6", "5", "3"]


@pytest.mark.parametrize("path", ["/v1/models/none", "/v1/models/made/versions/2", "/v1/models/none/metadata"])
def test_what_is_not_there_is_404(path, served):
    assert served.get(path).status_code == 404
