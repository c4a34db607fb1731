"""nginx in front of a server, with the configuration that is given: a real one, with a certificate of its own."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "nginx.conf"
NGINX, OPENSSL = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), shutil.which("openssl")
pytestmark = pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="nginx or openssl is not here")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def proxy(served, tmp_path):
    """The address of an nginx before the server; ports, paths and name are all that is changed."""
    certificate, key = tmp_path / "classifier.pem", tmp_path / "classifier.key"
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([OPENSSL, *made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    plain, tls = free_port(), free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    for before, after in [
        (r"listen (\[::\]:)?80;", f"listen 127.0.0.1:{plain};"),
        (r"listen (\[::\]:)?443", f"listen 127.0.0.1:{tls}"),
        ("127.0.0.1:8000", f"127.0.0.1:{served.port}"),
        (r"/etc/ssl/\w+/", f"{tmp_path}/"),
    ]:
        text, count = re.subn(before, after, text)
        assert count, before
    # Both lines of an address listen on IPv4 here, where there may be no IPv6.
    text = re.sub(r"(    listen [^\n]+\n)\1", r"\1", text)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # whose tmp_path is
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"{user}daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n",
        encoding="utf-8",
    )
    command = [NGINX, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", whole]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    with subprocess.Popen(command) as process:
        url = f"https://127.0.0.1:{tls}"
        end = time.monotonic() + 60
        while True:
            try:
                requests.get(url, verify=str(certificate), timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (tmp_path / "error.log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield url, f"http://127.0.0.1:{plain}", {"verify": str(certificate), "timeout": 60}
        process.terminate()


def test_pictures_go_through_and_what_is_not_for_all_does_not(proxy, served, pngs, tmp_path):
    tls, plain, options = proxy
    with requests.Session() as session:
        answer = session.post(f"{tls}/predict", files=[("images", ("a.png", pngs[0]))], **options)
        assert answer.status_code == 200
        assert answer.json()[0]["label"] == served.predict(pngs[0]).json()[0]["label"]
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        assert "default-src 'none'" in session.get(tls, **options).headers["Content-Security-Policy"]
        request_id = answer.headers["X-Request-ID"]
        served.until(lambda: [entry for entry in served.entries("request") if entry["request_id"] == request_id])
        assert session.get(f"{tls}/metrics", **options).status_code == 404
        moved = session.get(f"{plain}/about?top=1", allow_redirects=False, timeout=60)
        assert (moved.status_code, moved.headers["Location"]) == (301, "https://127.0.0.1/about?top=1")


def test_a_body_meets_the_limit_of_nginx_and_no_disk(proxy, pngs, tmp_path):
    tls, _, options = proxy
    headers = {"Content-Type": "image/png"}
    body = pngs[0] + b"0" * 500_000  # larger than nginx's buffers, within the limit of the server of the tests
    assert requests.post(f"{tls}/predict", data=body, headers=headers, **options).status_code == 200
    assert "temporary file" not in (tmp_path / "error.log").read_text()
    assert not [path for path in (tmp_path / "client_body").rglob("*") if path.is_file()]
    # Its head alone, so that no answer meets a client that is still sending.
    with requests.post(f"{tls}/predict", data=_Claimed(33 << 20), headers=headers, **options) as refused:
        assert refused.status_code == 413


class _Claimed:
    """A body that says how long it is, and has one byte."""

    def __init__(self, length):
        self.length, self.left = length, b"0"

    def __len__(self):
        return self.length

    def read(self, _=-1):
        sent, self.left = self.left, b""
        return sent
