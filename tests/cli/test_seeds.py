import json
import os
import re
import signal

import pytest

SHORT = ("--model", "softmax", "--max-steps", 4, "--batch-size", 20)


@pytest.fixture(scope="module")
def npz(bands):
    return bands(150)


def test_there_is_a_line_a_seed_and_one_for_each_question(npz, tmp_path, monkeypatch, process):
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "ledger.json"))
    run = tmp_path / "seeds"
    code, out, err = process("train", npz, "--seeds", 3, "--seed", 4, "--run-dir", run, *SHORT)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if " = " not in line]
    results = json.loads((run / "results.json").read_text())
    seeds = [
        re.fullmatch(r"Seed (\d) \(\d of 3\): accuracy (\S+) \(95% interval .*\) on 30 images", line) for line in lines
    ]
    assert [match.groups() for match in seeds if match] == [
        (str(one["seed"]), f"{one['test_accuracy']:.4f}") for one in results["seeds"]
    ]
    after = lines[lines.index(next(line for line in lines if line.startswith("Seed 6"))) + 1 :]
    assert after[0].startswith(
        f"Over the seeds: mean accuracy {results['test_accuracy_mean']:.4f}, standard deviation "
        f"{results['test_accuracy_std']:.4f}"
    )
    low, high = results["seeds"][0]["test_accuracy_ci95"]
    assert after[1].startswith("Over the images: seed 4's classifier, of accuracy ")
    assert f"would give {low:.4f} to {high:.4f} on other test images (95%)" in after[1]
    assert after[2] == "This test set has been looked at 3 times by 3 of your runs."
    assert not any(line.startswith("Step") for line in lines)


def test_with_json_standard_output_is_one_line_and_resuming_finished_ones_gives_it_again(npz, tmp_path, command):
    first = command("train", npz, "--seeds", 2, "--run-dir", tmp_path / "seeds", *SHORT, "--json")
    assert first.code == 0
    assert json.loads(first.out) == json.loads((tmp_path / "seeds" / "results.json").read_text())
    assert "Seed 1 (2 of 2): accuracy" in first.err
    again = command("train", "--resume", tmp_path / "seeds", "--json", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == json.loads(first.out)
    code, out, err = command("evaluate", tmp_path / "seeds")
    assert (code, out) == (2, "")
    assert "these are 2 runs of several seeds. Give one of them" in err
    assert command("evaluate", tmp_path / "seeds" / "seed-1", "--json").code == 0


def test_calibrating_one_seed_says_how_the_figures_of_all_are_brought_up_to_date(npz, tmp_path, command):
    seeds = tmp_path / "seeds"
    assert command("train", npz, "--seeds", 2, "--run-dir", seeds, *SHORT).code == 0
    _, _, err = command("calibrate", seeds / "seed-1", "--method", "none")
    assert err.startswith(f"The figures of {seeds} are still of before.")
    assert err.rstrip().endswith(f"train --resume {seeds}")
    assert command("train", "--resume", seeds).code == 0
    of_run = json.loads((seeds / "seed-1" / "results.json").read_text())["test_loss"]
    assert json.loads((seeds / "results.json").read_text())["seeds"][1]["test_loss"] == of_run


def test_a_signal_saves_and_what_it_says_goes_on_with_the_seed_that_was_broken_off(npz, tmp_path, start, command):
    run = tmp_path / "seeds"
    flags = ("--model", "fc", "--preset", "fast", "--batch-size", 20, "--epochs", 60)
    program = start("train", npz, "--seeds", 3, "--run-dir", run, *flags)
    for line in program.stdout:
        if line.startswith("Seed 0"):
            break
    while not (run / "seed-1" / "metrics.csv").exists():
        assert program.poll() is None
    os.kill(program.pid, signal.SIGINT)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    stopped = re.fullmatch(
        r"TrainingInterrupted: Seed 1 \(2 of 3\): .+; everything is saved. Go on with: .* (\S+)\n", err
    )
    assert stopped, err
    assert stopped[1] == str(run)
    assert not (run / "seed-2").exists()
    answer = command("train", "--resume", run, "--json")
    assert answer.code == 0
    undisturbed = command("train", npz, "--seeds", 3, "--run-dir", tmp_path / "again", *flags, "--json")
    shas = [[one["weights_sha256"] for one in json.loads(a.out)["seeds"]] for a in (answer, undisturbed)]
    assert shas[0] == shas[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--seeds", 1), "--seeds 1: what varies with the seed shows with at least 2 seeds."),
        (("--seeds", 3, "--folds", 3), "--seeds 3: excludes --folds 3"),
        (("--seeds", 2, "--batch-size", 140), "--batch-size 140: larger than the training set"),
        (("--seeds", "many"), "Invalid value for '--seeds'"),
    ],
)
def test_seeds_that_mean_nothing_are_refused_and_nothing_is_made(flags, message, npz, tmp_path, command):
    code, out, err = command("train", npz, "--run-dir", tmp_path / "seeds", *flags)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_resume_takes_no_seeds(tmp_path, command):
    code, _, err = command("train", "--resume", tmp_path, "--seeds", 3)
    assert code == 2
    assert "--seeds 3: has no meaning beside --resume" in err
