import json
import shutil
import subprocess
import sys

import pytest

from eyebright.backend import versions
from eyebright.errors import StorageError
from eyebright.run_directory import RunDirectory
from eyebright.storage import sha256
from eyebright.training.environment import (
    environment,
    environment_differences,
    note_environment,
    read_environments,
)
from eyebright.training.trainer import resume


def test_a_run_records_what_it_was_trained_with(make_run):
    run = make_run()
    (one,) = read_environments(run.path)
    assert one["step"] == 0
    assert one["versions"].items() >= versions().items()
    assert {"pillow", "scipy", "scikit-learn"} <= one["versions"].keys()
    assert one["threads"] == RunDirectory.open(run.path).settings.threads
    assert one["settings_sha256"] == sha256((run.path / "settings.toml").read_bytes())
    assert len(one["eyebright_sha256"]) == 64
    assert one["processor"]
    assert one["platform"]


def test_variables_that_may_change_results_are_recorded_and_others_are_not(make_run, monkeypatch):
    settings = RunDirectory.open(make_run().path).settings
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("MY_PASSWORD", "secret")
    recorded = environment(settings)["variables"]
    assert recorded["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert not {"TF_CPP_MIN_LOG_LEVEL", "MY_PASSWORD"} & recorded.keys()


def test_a_resume_adds_another_environment_with_its_step_and_the_same_one_not(
    make_run, go_back, dataset, tmp_path, monkeypatch
):
    run = go_back(make_run(), tmp_path / "run", 10)
    resume(run, dataset)
    assert len(read_environments(run)) == 1
    again = go_back(make_run(), tmp_path / "again", 10)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    resume(again, dataset)
    first, second = read_environments(again)
    assert (first["step"], second["step"]) == (0, 10)
    assert second["variables"]["OMP_NUM_THREADS"] == "1"
    assert [str(one) for one in environment_differences(first, second)] == ["OMP_NUM_THREADS: none in the run, 1 here"]


def test_runs_of_earlier_versions_have_none_and_a_resume_says_from_which_step_it_is_known(
    make_run, go_back, dataset, tmp_path
):
    run = go_back(make_run(), tmp_path / "run", 10)
    (run / "environment.json").unlink()
    assert read_environments(run) == []
    resume(run, dataset)
    assert [one["step"] for one in read_environments(run)] == [10]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"environments": [{"step": 0}]}', b"\xff"])
def test_a_damaged_record_is_an_error_that_says_what_to_do(content, make_run, tmp_path):
    run = shutil.copytree(make_run().path, tmp_path / "run")
    (run / "environment.json").write_bytes(content)
    for call in (read_environments, lambda path: note_environment(path, RunDirectory.open(path).settings, 5)):
        with pytest.raises(StorageError, match=r"environment\.json: damaged: .*Restore it, or remove it"):
            call(run)
    assert (run / "environment.json").read_bytes() == content


def test_differences_are_named_one_by_one():
    then = {"versions": {"keras": "3.14", "numpy": "2.0"}, "cpu_flags": ["avx2", "fma"], "threads": 2, "command": "a"}
    now = {
        "versions": {"keras": "3.15", "numpy": "2.0"},
        "cpu_flags": ["amx_bf16", "avx2"],
        "threads": 4,
        "command": "b",
    }
    assert [str(one) for one in environment_differences(then, now)] == [
        "cpu_flags: fma in the run, amx_bf16 here",
        "threads: 2 in the run, 4 here",
        "keras: 3.14 in the run, 3.15 here",
    ]
    assert environment_differences(then, then) == []


RECORD = """
import json, sys
from eyebright import preset_settings
from eyebright.training.environment import environment
sys.argv = ["/somewhere/bin/eyebright", "train", "two words"] if "as-eyebright" in sys.argv else sys.argv
one = environment(preset_settings("default", model="softmax"))
print(json.dumps([one["commit"], one["command"]]))
"""


def recorded(directory, *arguments):
    command = [sys.executable, "-c", RECORD, *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_commit_of_the_working_directory_and_the_command_are_recorded(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert recorded(tmp_path, "as-eyebright") == [head, "eyebright train 'two words'"]
    (tmp_path / "file").write_text("a")
    subprocess.run([*git, "add", "file"], check=True)
    assert recorded(tmp_path) == [f"{head}-dirty", None]
