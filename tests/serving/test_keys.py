import hashlib
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from eyebright.errors import SettingsError
from eyebright.serving.keys import Keys, RateLimit, new_key


def test_a_new_keys_hash_stands_in_the_file_and_the_key_does_not(tmp_path):
    path = tmp_path / "keys"
    key = new_key(path, "phone")
    assert path.stat().st_mode & 0o077 == 0
    assert key not in path.read_text()
    assert path.read_text() == f"phone {hashlib.sha256(key.encode()).hexdigest()}\n"
    other = new_key(path, "laptop")
    keys = Keys(path)
    assert [keys.name_of(known) for known in (key, other, key + "x", "", None)] == ["phone", "laptop", None, None, None]


def test_keys_that_are_made_at_the_same_moment_are_all_kept(tmp_path):
    path = tmp_path / "keys.txt"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: new_key(path, f"client-{number}"), range(40)))
    keys = Keys(path)
    assert [keys.name_of(key) for key in made] == [f"client-{number}" for number in range(40)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_comments_and_a_missing_last_newline_are_kept(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# mine\n\na {'0' * 64}")
    new_key(path, "b")
    assert path.read_text().startswith(f"# mine\n\na {'0' * 64}\nb ")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no key"), ("a b\n", "line 1"), (f"a {'0' * 64}\na {'1' * 64}\n", "line 2"), (f"a {'0' * 63}\n", "line 1")],
)
def test_a_file_that_is_none_is_refused(text, said, tmp_path):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        Keys(path)


def test_a_name_that_is_taken_or_odd_is_refused(tmp_path):
    path = tmp_path / "keys"
    new_key(path, "a")
    before = path.read_bytes()
    for name in ("a", "", "b c", "ü", "x" * 65):
        with pytest.raises(SettingsError):
            new_key(path, name)
    assert path.read_bytes() == before


def test_a_rate_fills_evenly(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    rate = RateLimit(3)
    assert [rate.wait("a") for _ in range(3)] == [0, 0, 0]
    assert rate.wait("a") == pytest.approx(20)
    assert rate.wait("b") == 0
    now[0] += 20
    assert rate.wait("a") == 0
    assert rate.wait("a") > 0


def test_a_server_with_keys_asks_for_one(start, artefact, tmp_path, pngs):
    path = tmp_path / "keys"
    key = new_key(path, "phone")
    server = start(artefact, "--keys", path, "--rate", "4", "--host", "0.0.0.0")
    for open_to_all in ("/", "/page.js", "/healthz", "/readyz", "/v2/health/live"):
        assert server.get(open_to_all).status_code == 200
    for path_of in ("/about", "/metrics", "/v2", "/v1/models/made", "/openapi.json"):
        assert server.get(path_of).status_code == 401, path_of
    assert server.predict(pngs[0]).status_code == 401
    assert server.predict(pngs[0], headers={"X-API-Key": key + "x"}).status_code == 401
    assert server.predict(pngs[0], headers={"X-API-Key": key}).status_code == 200
    assert server.predict(pngs[0], headers={"Authorization": f"Bearer {key}"}).status_code == 200
    statuses = [server.get("/about", headers={"X-API-Key": key}).status_code for _ in range(4)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert {entry.get("key") for entry in server.entries("request")} == {None, "phone"}
    assert key not in "".join(server.log)


def test_a_key_is_withdrawn_by_its_line_and_sighup_and_a_damaged_file_changes_nothing(start, artefact, tmp_path):
    path = tmp_path / "keys"
    lost, kept = new_key(path, "lost"), new_key(path, "kept")
    server = start(artefact, "--keys", path)

    def status(key):
        return server.get("/about", headers={"X-API-Key": key}).status_code

    assert (status(lost), status(kept)) == (200, 200)
    path.write_text(path.read_text().splitlines(keepends=True)[1])
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: status(lost) == 401)
    assert status(kept) == 200
    path.write_text("words")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.entries("reload_failed"))
    assert status(kept) == 200


def test_a_directory_is_no_file_of_keys(tmp_path):
    with pytest.raises(SettingsError, match="a directory"):
        new_key(tmp_path, "phone")
