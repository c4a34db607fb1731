"""The command `shard`, and training on what it writes."""

import json
import signal
import time

import numpy as np
import pytest
from PIL import Image

from eyebright.data.shards.order import MOST_LANES


@pytest.fixture
def pictures(tmp_path):
    for number in range(40):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return tmp_path / "pictures"


def test_what_was_written_is_said(command, tmp_path):
    code, out, err = command("shard", "digits", "-o", tmp_path / "shards", "--shard-images", 500)
    assert (code, err) == (0, "")
    assert out.startswith("1,797 images (in no split 1,797) in 4 shards, ")
    assert out.endswith(f"MB: {tmp_path / 'shards'}\n")
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        *(f"data-00000{number}.tar" for number in range(4)), "index.json",
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_half_written(start, tmp_path, number, code):
    data, target = tmp_path / "a.npz", tmp_path / "out" / "shards"
    images = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), np.uint8)
    np.savez(data, images=images, labels=np.arange(20_000) % 3, class_names=["a", "b", "c"])
    program = start("shard", data, "-o", target, "--shard-size", 0.1)
    while not list(tmp_path.glob("out/.writing-*/*.tar")):
        assert program.poll() is None
        time.sleep(0.01)
    program.send_signal(number)
    assert program.wait(60) == code
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"), [("", "-o: names no place"), ("s3:/bucket", "s3:/bucket: no URL, but it looks like one")]
)
def test_a_place_that_is_none_is_told_by_its_own_name(command, tmp_path, monkeypatch, output, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("shard", "digits", "-o", output)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_json_alone_stands_on_standard_output(command, tmp_path, pictures):
    code, out, _ = command("shard", pictures, "-o", tmp_path / "shards", "--json", "--image-size", 8, "--fit", "pad")
    said, index = json.loads(out), json.loads((tmp_path / "shards" / "index.json").read_text())
    assert code == 0
    assert said["data_fingerprint"] == index["fingerprint"]
    assert said["index_sha256"] == index["index_sha256"]
    assert (said["images"], said["shards"], said["splits"]) == (40, 1, {"": 40})
    assert (index["image_shape"], index["fit"], index["class_names"]) == ([8, 8, 3], "pad", ["a", "b"])


def test_training_on_shards_is_training_on_their_data(command, tmp_path):
    command("shard", "digits", "-o", tmp_path / "shards", "--shard-images", 500)
    flags = ("--model", "softmax", "--max-steps", 5, "--json")
    results = [
        json.loads(command("train", data, "--run-dir", tmp_path / name, *flags).out.splitlines()[-1])
        for name, data in (("one", "digits"), ("other", tmp_path / "shards"))
    ]
    assert results[0]["data_fingerprint"] == results[1]["data_fingerprint"]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert command("evaluate", tmp_path / "other", "--split", "validation").code == 0
    assert command("evaluate", tmp_path / "one", tmp_path / "shards", "--split", "validation").code == 0
    assert command("check", tmp_path / "shards").code == command("check", "digits").code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "--shard-size", 1, "--shard-images", 2), "give one of the two"),
        (("digits", "--shard-size", 0), "give a number above 0"),
        (("digits", "--shard-size", "nan"), "give a number above 0"),
        (("digits", "--shard-images", -1), "give a number above 0"),
        (("digits", "--image-size", 8), "is for picture files"),
        (("nothing",), "neither the name of a data set nor a path"),
    ],
    ids=str,
)
def test_bad_input_is_one_message_and_writes_nothing(command, tmp_path, arguments, message):
    code, out, err = command("shard", *arguments, "-o", tmp_path / "shards")
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_left_as_it_is(command, tmp_path):
    (tmp_path / "shards").write_text("mine")
    code, _, err = command("shard", "digits", "-o", tmp_path / "shards")
    assert code == 2
    assert "it is there already" in err
    assert (tmp_path / "shards").read_text() == "mine"


def test_damage_is_one_message(command, tmp_path):
    command("shard", "digits", "-o", tmp_path / "shards", "--shard-images", 500)
    (tmp_path / "shards" / "data-000002.tar").unlink()
    code, _, err = command("train", tmp_path / "shards", "--run-dir", tmp_path / "run")
    assert code == 2
    assert err.strip() == (
        f"DataError: {tmp_path / 'shards' / 'data-000002.tar'}: missing, though index.json names it. Copy it anew."
    )
    assert not (tmp_path / "run").exists()


def test_usual_shards_give_all_lanes(command, tmp_path):
    from eyebright.data.shards import ShardStream

    command("shard", "digits", "-o", tmp_path / "shards")
    assert ShardStream(tmp_path / "shards", 100).lanes == MOST_LANES
