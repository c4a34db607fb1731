import base64
import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from eyebright.classifier import Classifier
from eyebright.prediction import predict_files
from eyebright.uncertainty import known_images


def labelled(names, row):
    return [names[i] for i in np.argsort(-row, kind="stable")]


def check(entries, probabilities, names):
    assert len(entries) == len(probabilities)
    for entry, row in zip(entries, probabilities, strict=True):
        assert [one["label"] for one in entry["top"]] == labelled(names, row)
        np.testing.assert_allclose([one["probability"] for one in entry["top"]], np.sort(row)[::-1], atol=1e-5)
        assert (entry["label"], entry["probability"]) == tuple(entry["top"][0].values())


@pytest.fixture(scope="module")
def expected(made, images):
    return made(0).probabilities(images)


@pytest.fixture(scope="module")
def names(artefact):
    return Classifier.load(artefact).class_names


def test_a_form_of_files_is_answered_in_its_order_by_the_files_names(served, pngs, expected, names):
    answer = served.predict(*pngs[:5])
    assert answer.status_code == 200
    check(answer.json(), expected[:5], names)
    assert [entry["image"] for entry in answer.json()] == [f"{i}.png" for i in range(5)]


def test_the_answer_is_what_predict_says_of_the_same_files(served, pngs, artefact, tmp_path):
    for number, png in enumerate(pngs[:4]):
        (tmp_path / f"{number}.png").write_bytes(png)
    classifier = Classifier.load(artefact)
    distance = known_images(classifier).threshold()
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    said = [prediction.to_dict() for prediction in predict_files(classifier, paths, unlike_distance=distance)]
    got = served.predict(*pngs[:4]).json()
    for one, other in zip(said, got, strict=True):
        assert one.keys() == other.keys()
        assert one["unlike_training"] == other["unlike_training"]
        assert one["label"] == other["label"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream"])
def test_a_picture_may_be_the_body(media_type, served, pngs, expected, names):
    answer = served.post("/predict", data=pngs[3], headers={"Content-Type": media_type})
    check(answer.json(), expected[3:4], names)


@pytest.mark.parametrize("before", ["", "data:image/png;base64,"])
def test_pictures_may_be_base64_in_json(before, served, pngs, expected, names):
    coded = [before + base64.b64encode(png).decode() for png in pngs[:3]]
    answer = served.post("/predict", json={"images": coded})
    check(answer.json(), expected[:3], names)
    assert [entry["image"] for entry in answer.json()] == ["0", "1", "2"]


@pytest.mark.parametrize("field", ["images", "file", "images[]"])
def test_files_may_be_in_any_field(field, served, pngs):
    assert served.post("/predict", files={field: ("a.png", pngs[0])}).status_code == 200


def test_top_says_how_many_classes_are_named(served, pngs):
    (entry,) = served.predict(pngs[0], params={"top": 2}).json()
    assert len(entry["top"]) == 2
    assert served.predict(pngs[0], params={"top": 0}).status_code == 422


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(served, pngs):
    answer = served.predict(pngs[0], b"words", pngs[1][:40], b"", pngs[2])
    assert answer.status_code == 200
    assert [sorted(entry) for entry in answer.json()[1:4]] == [["error", "image"]] * 3
    assert all("label" in answer.json()[number] for number in (0, 4))


def test_where_none_can_be_read_the_status_is_422(served):
    answer = served.predict(b"words", b"more words")
    assert answer.status_code == 422
    assert [entry["image"] for entry in answer.json()] == ["0.png", "1.png"]


def test_pictures_of_another_size_and_mode_are_brought_to_the_classifiers(served, artefact):
    classifier = Classifier.load(artefact)
    file = BytesIO()
    Image.effect_noise((300, 200), 80).convert("LA").save(file, "PNG")
    (entry,) = served.predict(file.getvalue()).json()
    from eyebright.data.decode import decode_image

    row = classifier.predict(decode_image(file.getvalue(), classifier.image_shape, classifier.fit)[None])[0]
    assert entry["probability"] == pytest.approx(float(row.max()), abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"[]", 400, "object"),
        (b'{"images": "a"}', 400, "list"),
        (b'{"images": []}', 400, "no picture"),
        (b'{"images": [NaN]}', 400, "no JSON"),
        (b'{"images": ["a"], "more": 1}', 400, "more"),
        (b"[" * 100_000, 400, "more values"),
        (b"[" * 1_000, 400, "no JSON"),
        (b'{"images": [1, "*"]}', 422, "base64"),
        (json.dumps({"images": ["aaaa"] * 9}).encode(), 400, "at most 8"),
    ],
)
def test_json_that_is_not_what_is_asked_for_is_refused(body, status, said, served):
    answer = served.post("/predict", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert said in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"x", 415),
        ({}, b"x", 415),
        ({"Content-Type": "image/png", "Content-Encoding": "gzip"}, b"x", 415),
        ({"Content-Type": "multipart/form-data"}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b"--a--\r\n", 400),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b"--a\r\n\r\nx\r\n--a--\r\n", 400),
    ],
)  # fmt: skip
def test_bodies_of_other_kinds_are_refused(headers, body, status, served):
    answer = served.post("/predict", data=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}


def test_a_field_that_is_no_file_is_refused(served):
    assert served.post("/predict", files={"images": (None, "words")}).status_code == 400


def test_ten_thousand_parts_and_a_body_that_is_too_large_are_refused(served):
    parts = [("images", ("a", b"x"))] * 10_000
    assert served.post("/predict", files=parts).status_code == 400
    assert served.post("/predict", data=bytes(2**20 + 1), headers={"Content-Type": "image/png"}).status_code == 413
    chunks = (bytes(2**16) for _ in range(40))  # without a Content-Length
    assert served.post("/predict", data=chunks, headers={"Content-Type": "image/png"}).status_code == 413


def test_a_picture_of_too_many_pixels_is_refused(served):
    file = BytesIO()
    Image.new("1", (1001, 1000)).save(file, "PNG")
    answer = served.predict(file.getvalue())
    assert answer.status_code == 422
    assert "pixels" in answer.json()[0]["error"]


def test_names_of_files_lead_nowhere(served, pngs):
    name = "../../etc/passwd"
    (entry,) = served.post("/predict", files={"images": (name, pngs[0])}).json()
    assert entry["image"] == name
    assert "label" in entry


def test_many_at_once_get_each_their_own_answer(served, pngs, expected, names):
    order = np.random.default_rng(3).integers(0, len(pngs), 120)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: served.predict(pngs[number]), order))
    for number, answer in zip(order, answers, strict=True):
        check(answer.json(), expected[number : number + 1], names)
    assert served.metric('eyebright_batch_images_count{model="made"}') < served.metric(
        'eyebright_batch_images_sum{model="made"}'
    )


def test_about_says_what_the_model_knows_and_how_good_it_is(served, names):
    about = served.get("/about").json()
    assert (about["name"], about["class_names"]) == ("made", list(names))
    assert (about["accuracy"], about["accuracy_ci95"], about["test_images"]) == (0.875, [0.85, 0.9], 800)
    assert about["trained_on"] == {"name": "made", "images": 1000}
    assert (about["tells_unlike_pictures"], about["explains"]) == (True, True)


def test_explain_draws_where_the_evidence_is(served, pngs):
    answer = served.post("/explain", files={"image": ("a.png", pngs[0])})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    with Image.open(BytesIO(answer.content)) as picture:
        assert max(picture.size) == 256
        assert picture.size[0] / picture.size[1] == pytest.approx(5 / 6, abs=0.01)
    assert served.post("/explain", files={"image": ("a.png", b"words")}).status_code == 422
    assert served.post("/explain", files=[("image", ("a.png", pngs[0]))] * 2).status_code == 400


def test_a_model_that_is_not_there_is_404(served, pngs):
    assert served.predict(pngs[0], params={"model": "none"}).status_code == 404


@pytest.mark.parametrize("charset", ["unicode_escape", "rot13", "zip", "utf-7", "none"])
def test_odd_character_sets_of_forms_are_no_fault(charset, served, pngs):
    head = b'--a\r\nContent-Disposition: form-data; name="i"; filename="\\ud800"\r\n\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=a; charset={charset}"}
    answer = served.post("/predict", data=head + pngs[0] + b"\r\n--a--\r\n", headers=kind)
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", rb'{"images": [], "\ud800": 1}'),
        ("/predict?model=%ff%ed%a0%80", rb"{}"),
        ("/v1/models/made:predict", rb'{"\ud800": 1}'),
        ("/v2/models/made/infer", rb'{"\ud800": 1}'),
        ("/v2/models/made/infer", rb'{"id": "\ud800", "inputs": []}'),
        ("/v2/models/made/infer", rb'{"inputs": [{"\ud800": 1}]}'),
    ],
)
def test_halves_of_characters_are_refused_and_no_fault(path, body, served):
    answer = served.post(path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 404), answer.text
    assert answer.json().keys() == {"error"}
