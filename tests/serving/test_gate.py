import json
import re

import requests

from eyebright.serving.keys import new_key


def test_every_answer_has_an_id_and_headers_that_keep_pages_safe(served, pngs):
    for answer in (served.get("/"), served.get("/none"), served.predict(pngs[0]), served.get("/predict")):
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "Server" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_requests_own_id_is_taken_where_it_is_plain(served):
    assert served.get("/healthz", headers={"X-Request-ID": "a-1"}).headers["X-Request-ID"] == "a-1"
    assert served.get("/healthz", headers={"X-Request-ID": 'a"1'}).headers["X-Request-ID"] != 'a"1'


def test_errors_are_json_without_insides(served):
    for answer in (served.get("/none"), served.get("/predict"), served.get("/about?model=none")):
        assert answer.json().keys() == {"error"}
        assert "Traceback" not in answer.text
    assert served.get("/predict").status_code == 405
    assert served.get("/predict").headers["Allow"] == "POST"


def test_the_log_has_a_line_of_json_a_request_and_nothing_of_pictures(served, pngs):
    served.post("/predict", files={"images": ("secret name.png", pngs[0])}, headers={"X-Request-ID": "of-the-log"})
    (entry,) = served.until(lambda: [e for e in served.entries("request") if e["request_id"] == "of-the-log"])
    assert (entry["method"], entry["path"], entry["status"], entry["level"]) == ("POST", "/predict", 200, "info")
    assert entry["bytes"] > len(pngs[0])
    assert 0 < entry["seconds"] < 60
    assert "secret" not in json.dumps(entry)
    assert all(json.loads(line)["time"] for line in served.log)


def test_pages_of_other_origins_may_ask_only_where_it_is_said(start, artefact, pngs):
    server = start(artefact, "--cors", "https://a.example")
    for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        answer = server.predict(pngs[0], headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_metrics_count_what_was_answered(served, pngs):
    before = served.metric('eyebright_confidence_count{model="made"}')
    failed = served.metric('eyebright_unreadable_images_total{model="made"}')
    served.predict(*pngs[:3], b"words")
    assert served.metric('eyebright_confidence_count{model="made"}') == before + 3
    assert served.metric('eyebright_unreadable_images_total{model="made"}') == failed + 1
    text = served.get("/metrics").text
    assert 'eyebright_requests_total{method="POST",path="/predict",status="200"}' in text
    assert 'path="/none"' not in text


def test_methods_that_clients_make_up_are_no_label(served):
    for method in ("BREW", "PROPFIND", "GETGET"):
        requests.request(method, f"{served.url}/predict", timeout=30)
    text = served.get("/metrics").text
    assert not {'method="BREW"', 'method="PROPFIND"', 'method="GETGET"'} & set(text.replace("{", ",").split(","))
    assert 'eyebright_requests_total{method="other",path="/predict",status="405"} 3.0' in text


def test_what_pages_of_other_origins_ask_before_they_ask_passes_the_gate_too(start, artefact, tmp_path):
    new_key(tmp_path / "keys", "phone")
    server = start(artefact, "--cors", "https://a.example", "--keys", tmp_path / "keys")
    origin = {"Origin": "https://a.example"}
    before = requests.options(
        f"{server.url}/predict",
        headers={**origin, "Access-Control-Request-Method": "POST", "X-Request-ID": "before"},
        timeout=30,
    )
    assert (before.status_code, before.headers["Access-Control-Allow-Origin"]) == (200, origin["Origin"])
    assert before.headers["X-Request-ID"] == "before"
    assert before.headers["X-Content-Type-Options"] == "nosniff"
    server.until(lambda: [e for e in server.entries("request") if e["request_id"] == "before"])
    refused = server.post("/predict", headers=origin)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, origin["Origin"])
