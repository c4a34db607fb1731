"""The Open Inference Protocol, asked by Triton's own client."""

import base64

import numpy as np
import pytest

INFER = "/v2/models/made/infer"


@pytest.fixture
def client(served):
    from tritonclient.http import InferenceServerClient

    with InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def pixels(images):
    from tritonclient.http import InferInput

    given = InferInput("images", list(images.shape), "UINT8")
    given.set_data_from_numpy(images, binary_data=False)
    return given


def test_tritons_client_finds_the_server_and_the_model_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("made")
    assert client.is_model_ready("made", "1")
    assert not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "eyebright"
    (given,) = client.get_model_metadata("made")["inputs"]
    assert given == {"name": "images", "datatype": "UINT8", "shape": [-1, 6, 5, 3]}


def test_tritons_client_sends_pixels(client, images, made):
    from tritonclient.http import InferRequestedOutput

    wanted = [InferRequestedOutput(name, binary_data=False) for name in ("probabilities", "labels")]
    answer = client.infer("made", [pixels(images[:8])], outputs=wanted, request_id="7")
    expected = made(0).probabilities(images[:8])
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-5)
    assert len(answer.as_numpy("labels")) == 8
    assert answer.get_response()["id"] == "7"


def test_tritons_client_sends_pictures_in_base64(client, pngs, made, images):
    from tritonclient.http import InferInput, InferRequestedOutput

    given = InferInput("images", [2], "BYTES")
    coded = np.array([base64.b64encode(png) for png in pngs[:2]], dtype=np.object_)
    given.set_data_from_numpy(coded, binary_data=False)
    wanted = [InferRequestedOutput("probabilities", binary_data=False)]
    answer = client.infer("made", [given], outputs=wanted)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), made(0).probabilities(images[:2]), atol=1e-5)
    assert answer.as_numpy("labels") is None


def test_all_numbers_may_stand_in_one_list_and_all_outputs_are_given_unasked(served, images, made):
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 6, 5, 3], "data": images[:2].ravel().tolist()}
    answer = served.post(INFER, json={"inputs": [tensor]}).json()
    probabilities, labels = answer["outputs"]
    assert (probabilities["shape"], labels["shape"]) == ([2, 4], [2])
    np.testing.assert_allclose(np.reshape(probabilities["data"], (2, 4)), made(0).probabilities(images[:2]), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"datatype": "FP32"},
        {"shape": [2, 6, 5, 3]},
        {"shape": []},
        {"data": []},
        {"data": ["a"]},
        {"data": "a"},
        {"more": 1},
        {"datatype": "BYTES"},
        {"datatype": "BYTES", "shape": [1], "data": ["*"]},
    ],
    ids=str,
)
def test_a_tensor_that_is_none_is_refused(change, served):
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 6, 5, 3], "data": [0] * 90}
    assert served.post(INFER, json={"inputs": [tensor]}).status_code == 200
    assert served.post(INFER, json={"id": "\ud800", "inputs": [tensor]}).status_code == 400
    answer = served.post(INFER, json={"inputs": [{**tensor, **change}]})
    assert (answer.status_code, answer.json().keys()) == (400, {"error"}), answer.text


@pytest.mark.parametrize("outputs", [["labels", "labels"], ["labels", "probabilities", "labels"], ["labels"] * 50])
def test_an_output_is_given_once(outputs, served):
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 6, 5, 3], "data": [0] * 90}
    answer = served.post(INFER, json={"inputs": [tensor], "outputs": [{"name": name} for name in outputs]})
    assert (answer.status_code, answer.json().keys()) == (400, {"error"}), answer.text


def test_the_binary_extension_is_refused_with_a_word(served):
    answer = served.post(INFER, data=b"{}", headers={"Inference-Header-Content-Length": "2"})
    assert answer.status_code == 415
    assert "binary_data=False" in answer.json()["error"]
