"""`predict --ray`: the answers of `predict`, each once, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from eyebright.cluster.parts import PICTURES_IN_A_PART

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, where tests run in several processes

PROGRAM = (sys.executable, "-m", "eyebright")


def answers(directory):
    """All entries, in order."""
    files = sorted(directory.glob("part-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def plain(eyebright, artefact, pictures):
    """What `predict` without Ray answers to all pictures of the folder."""
    return json.loads(eyebright("predict", artefact, pictures, "--json", "--conformal", "0.1").out)


@pytest.fixture(scope="module")
def done(eyebright, cluster, artefact, pictures, tmp_path_factory):
    """The same question, on a cluster."""
    output = tmp_path_factory.mktemp("done") / "out"
    command = ["predict", artefact, pictures, "--ray", cluster, "-o", output, "--conformal", "0.1"]
    return command, output, eyebright(*command, "--json")


def test_the_answers_are_those_without_ray(done, plain):
    _, output, answer = done
    assert answers(output) == plain
    assert answer.code == 3
    unlike = sum(entry.get("unlike_training", False) for entry in plain)
    expected = {"path": str(output), "pictures": 41, "answered": 40, "failed": 1, "unlike": unlike, "now": 41}
    assert json.loads(answer.out) == expected
    assert "core_worker" not in answer.err


def test_a_finished_question_is_answered_at_once_and_without_a_cluster(done, eyebright):
    command, _, before = done
    command = [one if one != command[4] else "127.0.0.1:1" for one in command]
    again = eyebright(*command)
    assert again.code == before.code
    assert again.out.startswith("40 pictures answered, 1 could not be read, 41 of them before\n")


@pytest.mark.parametrize(
    ("change", "differs"), [(["--top", "2"], "top"), (["--conformal", "0.2"], "sets"), (["more.png"], "pictures")]
)
def test_another_question_is_refused_and_nothing_is_lost(change, differs, done, eyebright):
    command, output, _ = done
    before = answers(output)
    code, out, err = eyebright(*command, *change)
    assert (code, out) == (2, "")
    assert "predictions were begun there by another command: " in err
    assert differs in err
    assert answers(output) == before


def test_a_part_that_was_damaged_is_named(done, eyebright, tmp_path):
    command, output, _ = done
    part = output / "part-00000.jsonl"
    whole, results = part.read_bytes(), (output / "results.json").read_bytes()
    (output / "results.json").unlink()
    part.write_bytes(whole[:-20])
    code, _, err = eyebright(*command)
    assert code == 2
    assert f"{part}: damaged or changed" in err
    part.write_bytes(whole)
    (output / "results.json").write_bytes(results)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ray",), "--ray: the answers of a cluster are written to files: say where by -o DIR."),
        (("-o", "out"), "--output out: answers go there from a cluster: give --ray as well, or use --json."),
        (("--ray", "-o", "out", "--csv"), "--csv: with --ray answers are JSON lines"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, message, eyebright, artefact, pictures, tmp_path):
    code, _, err = eyebright("predict", artefact, pictures, *flags, cwd=tmp_path)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_directory_with_other_files_is_refused(eyebright, artefact, pictures):
    code, _, err = eyebright("predict", artefact, pictures, "--ray", "-o", pictures)
    assert code == 2
    assert f"{pictures}: other files lie there (00.png)" in err


def test_killed_and_resumed_no_picture_is_twice_or_missing(
    eyebright, environment, cluster, artefact, pictures, tmp_path
):
    parts = 12
    names = [str(pictures / f"{number:02}.png") for number in range(40)]
    listed = "\n".join(names[number % 40] for number in range((parts - 1) * PICTURES_IN_A_PART + 7))
    command = ["predict", artefact, "-", "--ray", cluster, "-o", tmp_path / "out", "--json"]
    first = subprocess.Popen(
        [*PROGRAM, *map(str, command)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env=environment, start_new_session=True, text=True,
    )  # fmt: skip
    with first:
        first.stdin.write(listed)
        first.stdin.close()
        while not list(tmp_path.glob("out/part-*.jsonl")):
            assert first.poll() is None
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
    there = len(list(tmp_path.glob("out/part-*.jsonl")))
    assert there < parts
    code, out, err = eyebright(*command, input=listed)
    assert code == 0, err
    assert [entry["image"] for entry in answers(tmp_path / "out")] == listed.splitlines()
    summary = json.loads(out)
    assert summary["answered"] == len(listed.splitlines())
    assert 0 < summary["now"] < summary["answered"]
    assert not list((tmp_path / "out").glob(".*.writing"))
