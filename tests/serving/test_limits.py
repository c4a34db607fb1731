"""What hostile and careless clients do, over sockets of their own."""

import socket
import time
from pathlib import Path

import pytest
from PIL import Image

HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.settimeout(30)
    return connection


def received(connection):
    """All that comes until the server closes."""
    content = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return content
        if not part:
            return content
        content += part


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healthz HT", HEAD, HEAD + b"Content-Length: 1000\r\n\r\nabc"],
    ids=["nothing", "line", "head", "body"],
)
def test_who_does_not_finish_a_request_is_hung_up_on(begun, served):
    with connect(served) as connection:
        connection.sendall(begun)
        since = time.monotonic()
        answer = received(connection)
        assert 1 < time.monotonic() - since < 20  # --receive-seconds 2
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_sends_byte_by_byte_has_no_more_time(served):
    with connect(served) as connection:
        since = time.monotonic()
        try:
            for byte in HEAD * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:  # hung up on
            pass
        assert time.monotonic() - since < 20


def test_a_second_request_on_a_connection_has_its_own_time(served):
    with connect(served) as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            content = b""
            while not content.endswith(b"}"):
                content += connection.recv(65536)
            assert content.startswith(b"HTTP/1.1 200 ")
            time.sleep(0.8)  # all three together longer than one may take
        connection.sendall(b"GET /healthz HT")
        assert received(connection).startswith(b"HTTP/1.1 408 ")


def test_what_is_no_http_is_refused(served):
    with connect(served) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_is_too_large_is_refused_by_its_head(served):
    with connect(served) as connection:
        connection.sendall(HEAD + b"Content-Length: 200000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    with connect(served) as connection:
        connection.sendall(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")
        assert connection.recv(65536).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))


def test_paths_lead_to_no_files(served):
    for path in (b"/../app.py", b"/%2e%2e/app.py", b"/..%2fapp.py", b"//etc/passwd", b"/web/index.html"):
        with connect(served) as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert received(connection).startswith(b"HTTP/1.1 404 "), path


def test_who_hangs_up_costs_nothing_and_is_no_fault(served, pngs):
    for _ in range(5):
        with connect(served) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(pngs[0]) + pngs[0])
    with connect(served) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    assert served.predict(pngs[0]).status_code == 200
    assert not served.entries("fault")
    assert served.metric("eyebright_queue_images") == 0


def test_when_the_queue_is_full_one_is_told_to_come_again(start, artefact, pngs):
    server = start(artefact, "--max-queue", "2", "--max-images", "2", "--max-wait", "1000", "--max-batch", "8")
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:  # each waits a second for others to join it
        answers = list(pool.map(lambda _: server.predict(pngs[0]), range(6)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(200) >= 2
    assert set(statuses) == {200, 429}
    busy = next(answer for answer in answers if answer.status_code == 429)
    assert busy.headers["Retry-After"] == "1"


def test_what_is_not_answered_in_time_is_429(start, artefact, pngs):
    server = start(artefact, "--max-wait", "1000", "--answer-seconds", "0.2")
    answer = server.predict(pngs[0])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert server.metric("eyebright_queue_images") == 0


def test_a_picture_that_takes_too_long_is_given_up(start, artefact, tmp_path):
    server = start(artefact, "--decode-seconds", "0.01")
    Image.effect_noise((2500, 2500), 90).save(tmp_path / "large.png", compress_level=1)
    answer = server.predict((tmp_path / "large.png").read_bytes())
    assert answer.status_code == 422
    assert "not decoded within" in answer.json()[0]["error"]


def memory(server):
    """The most that a process has held, in megabytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


JSON_TROUBLE = {
    "a long text beside many short ones": b'["' + b"x" * 8_000 + b'"' + b',"a"' * 60_000 + b"]",
    "many empty lists": b"[" + b"[]," * 300_000 + b"[]]",
    "a large array of one image": b"[[[[0]]]" + b",0" * 400_000 + b"]",
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
@pytest.mark.parametrize("values", JSON_TROUBLE.values(), ids=JSON_TROUBLE)
def test_json_that_is_no_images_costs_no_memory(values, start, artefact):
    server = start(artefact, "--max-images", "64")
    tensor = b'{"inputs":[{"name":"images","datatype":"UINT8","shape":[1],"data":%s}]}' % values
    server.post("/v2/models/made/infer", json={"inputs": []})
    before = memory(server)
    for path, body in (("/v2/models/made/infer", tensor), ("/v1/models/made:predict", b'{"instances":%s}' % values)):
        answer = server.post(path, data=body)
        assert (answer.status_code, answer.json().keys()) == (400, {"error"}), answer.text
    assert memory(server) - before < 60


def test_a_body_of_json_has_a_limit_of_its_own(start, artefact):
    server = start(artefact)
    answer = server.post("/v1/models/made:predict", data=b'{"instances":"' + b"a" * 9 * 2**20 + b'"}')
    assert answer.status_code == 413
    assert "Send pictures as files" in answer.json()["error"]


@pytest.mark.parametrize("where", ["{%s}", '{"inputs":[{%s}]}', '{"inputs":[],"outputs":[{%s}]}'])
def test_unknown_keys_are_refused_at_once_and_few_are_named(where, start, artefact):
    server = start(artefact)
    body = where % ",".join(f'"k{number}":0' for number in range(900))
    answer = server.post("/v2/models/made/infer", data=body)
    assert answer.status_code == 400
    assert "and 895 more" in answer.json()["error"]
    assert len(answer.text) < 500


def test_who_does_not_read_answers_is_hung_up_on(served):
    with connect(served) as connection:
        asked = 400
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * asked)
        time.sleep(6)  # --receive-seconds 2
        assert received(connection).count(b"HTTP/1.1 200 ") < asked


def test_explaining_has_a_deadline_and_room_in_any_queue(start, artefact, pngs):
    server = start(artefact, "--max-queue", "2", "--max-images", "2")
    assert server.post("/explain", data=pngs[0], headers={"Content-Type": "image/png"}).status_code == 200
    server = start(artefact, "--max-wait", "200", "--max-queue", "2", "--max-images", "2", "--answer-seconds", "0.3")
    answer = server.post("/explain", data=pngs[0], headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, "1")
    assert server.metric("eyebright_queue_images") == 0
