"""What `eyebright serve` and `eyebright key` refuse before anything is served: exit code 2, one message."""

import socket

import pytest


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_an_address_that_others_can_reach_needs_keys_or_a_word(host, artefact, command):
    code, out, err = command("serve", artefact, "--host", host)
    assert (code, out) == (2, "")
    assert "--keys" in err
    assert "--no-keys" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--rate", "5"), "--keys"),
        (("--max-queue", "3"), "--max-images"),
        (("--min-confidence", "2"), "confidence"),
        (("--min-confidence", "0.5", "--target-error", "0.1"), "exclude"),
        (("--conformal", "2"), "between 0 and 1"),
        (("--unlike-share", "0.0001"), "--unlike-share"),
        (("--keys", "none"), "none"),
        (("--workers", "0"), "--workers"),
        (("--host", "127.0.0.1", "--port", "70000"), "--port"),
    ],
    ids=str,
)
def test_flags_that_cannot_be_are_refused(flags, said, artefact, command):
    code, out, err = command("serve", artefact, *flags)
    assert (code, out) == (2, ""), err
    assert said in err


def test_models_that_cannot_be_are_refused(artefact, tmp_path, command):
    damaged = tmp_path / "damaged.eyebright"
    damaged.write_bytes(artefact.read_bytes()[:-100])
    for models, said in [
        ([tmp_path / "none"], "none"),
        ([damaged], "damaged"),
        ([tmp_path], "neither the directory of a run nor an artefact"),
        ([artefact, artefact], "two models"),
        ([f"a/b={artefact}"], "a/b"),
        ([], "FILE"),
    ]:
        code, out, err = command("serve", *models, "--port", "0")
        assert (code, out) == (2, ""), models
        assert said in err
        assert "Traceback" not in err


def test_a_port_that_is_taken_is_said(artefact, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = command("serve", artefact, "--port", taken.getsockname()[1])
    assert code == 2
    assert "cannot listen" in err


def test_key_prints_a_new_key_and_refuses_a_name_that_is_taken(tmp_path, command):
    code, key, err = command("key", tmp_path / "keys", "phone")
    assert (code, err) == (0, "")
    assert len(key.strip()) > 40
    code, out, err = command("key", tmp_path / "keys", "phone")
    assert (code, out) == (2, "")
    assert "phone" in err
