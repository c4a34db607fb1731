import csv
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest

from eyebright import preset_settings, train
from eyebright.run_directory import RunDirectory


@pytest.fixture(scope="module")
def data(tmp_path_factory, digits):
    path = tmp_path_factory.mktemp("reproduced") / "digits.npz"
    np.savez(path, images=digits.images, labels=digits.labels)
    return path


@pytest.fixture(scope="module")
def made(data):
    """A run of 26 steps on a file, with checkpoints at 10, 20 and 26, and another seed's."""
    from eyebright import load_dataset

    dataset = load_dataset(data)
    for seed in (0, 1):
        settings = preset_settings(
            "default",
            model="fc",
            max_steps=26,
            batch_size=100,
            checkpoint_steps=10,
            log_steps=5,
            seed=seed,
            epochs=None,
        )
        train(settings, dataset, data.parent / f"seed-{seed}")
    return data.parent


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made / "seed-0", tmp_path / "run")


def edit_json(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_run_is_identical_to_the_bit_and_is_left_as_it_was(run, command):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}
    code, out, err = command("reproduce", run)
    assert (code, err) == (0, "")
    results = [json.loads((path / "results.json").read_text()) for path in (run, run.with_name("run-again"))]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert re.search(r"run-again is identical to the bit with .*, 3 checkpoints, \d+ rows of metrics\.csv\.", out)
    assert "Of all that is recorded of the environment, nothing differs." in out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"} == before
    code, out, err = command("reproduce", run, "--json", "--quiet")  # the first repetition stays where it is
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["identical"], found["path"]) == (True, str(run.with_name("run-again-2")))
    assert found["checkpoints"] == [{"step": step, "identical": True} for step in (10, 20, 26)]
    assert found["environment"] == []


def test_one_changed_training_pixel_is_refused_and_the_image_is_named(run, data, digits, tmp_path, command):
    images = digits.images.copy()
    images[17, 3, 4, 0] ^= 1
    np.savez(tmp_path / "changed.npz", images=images, labels=digits.labels)
    code, out, err = command("reproduce", run, "--data", tmp_path / "changed.npz")
    assert (code, out) == (2, "")
    assert re.search(r"1 of 1,797 images has other pixels: 17 \((training|validation|test)\)\. Restore the data", err)
    assert not run.with_name("run-again").exists()


def test_other_labels_or_fewer_images_are_told_from_other_pixels(run, digits, tmp_path, command):
    labels = digits.labels.copy()
    labels[5] = (labels[5] + 1) % 10
    np.savez(tmp_path / "labels.npz", images=digits.images, labels=labels)
    np.savez(tmp_path / "fewer.npz", images=digits.images[:1500], labels=digits.labels[:1500])
    np.savez(tmp_path / "smaller.npz", images=digits.images[:, 1:], labels=digits.labels)
    for name, message in {
        "labels.npz": "no pixel is another, so it is labels, class names",
        "fewer.npz": "1,500 images, where there were 1,797",
        "smaller.npz": "their images are of 7 × 8 × 1 here, and were of 8 × 8 × 1",
    }.items():
        code, _, err = command("reproduce", run, "--data", tmp_path / name)
        assert (code, message in err) == (2, True), err


def test_a_version_that_is_not_the_recorded_one_is_named_and_the_run_is_trained_again_all_the_same(run, command):
    edit_json(run / "environment.json", lambda record: record["environments"][0]["versions"].update(keras="3.14.0"))
    edit_json(run / "results.json", lambda results: results["versions"].update(numpy="2.0.1"))
    code, out, err = command("reproduce", run)
    assert (code, err) == (0, "")
    assert "identical to the bit" in out
    (line,) = [line for line in out.splitlines() if line.startswith("What differs in the environment: ")]
    assert re.search(r"keras: 3\.14\.0 in the run, \d\S+ here", line)
    assert re.search(r"numpy \(results\.json\): 2\.0\.1 in the run, \d\S+ here", line)
    assert out.index("Not as it was: keras") < out.index("Training ")


def test_where_it_first_differs_is_said(run, made, command):
    """The run as if from step 10 on it had gone another way: that of another seed."""
    other = made / "seed-1"
    for name in ("model", "results.json", "checkpoints/step-20", "checkpoints/step-26"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        (shutil.copytree if path.suffix == "" else shutil.copy)(other / name, path)
    rows = {}
    for path in (run, other):
        with (path / "metrics.csv").open(newline="") as file:
            rows[path] = list(csv.DictReader(file))
    mixed = [row for row in rows[run] if int(row["step"]) <= 10]
    mixed += [row for row in rows[other] if int(row["step"]) > 10]
    with (run / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, mixed[0])
        writer.writeheader()
        writer.writerows(mixed)
    code, out, err = command("reproduce", run)
    assert (code, err) == (3, "")
    outcome = out.splitlines()[-2]
    assert "the saved weights are others" in outcome
    after = next(int(row["step"]) for row in mixed if int(row["step"]) > 10)
    assert re.search(rf"First difference: step {after} of metrics\.csv: \w+ \S+ in the run, \S+ now", outcome)
    assert "the checkpoint of step 20 has other variables, after the same variables at step 10" in outcome
    assert out.splitlines()[-1] == "Of all that is recorded of the environment, nothing differs."


def test_a_figure_that_differs_alone_is_found(run, command):
    text = (run / "metrics.csv").read_text().splitlines()
    cells = text[2].split(",")
    cells[1] = "0.5"
    (run / "metrics.csv").write_text("\n".join([*text[:2], ",".join(cells), *text[3:], ""]))
    code, out, _ = command("reproduce", run, "--json")
    found = json.loads(out)
    assert (code, found["identical"]) == (3, False)
    assert found["weights_sha256"][0] == found["weights_sha256"][1]
    assert found["first_differing_row"]["step"] == int(cells[0])
    assert found["first_differing_row"]["figures"].startswith("loss 0.5 in the run, ")


def test_a_damaged_checkpoint_is_passed_over_and_named(run, command):
    (run / "checkpoints" / "step-10" / "variables.npz").write_bytes(b"nothing")
    code, out, _ = command("reproduce", run)
    assert code == 0
    assert re.search(r"Passed over: \S+step-10/variables\.npz: damaged", out)
    assert "2 checkpoints" in out


def set_learning_rate(run):
    path = run / "settings.toml"
    path.write_text(re.sub(r"learning_rate = .*", "learning_rate = 0.3", path.read_text()))


def damage_weights(run):
    path = run / "model" / "weights.npz"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_learning_rate, r"settings\.toml: it was changed after the run was trained"),
        (damage_weights, r"model/weights\.npz: damaged"),
        (lambda run: (run / "results.json").unlink(), r"this run is not finished. Go on with it first"),
        (lambda run: (run / "environment.json").write_text("{}"), r"environment\.json: damaged"),
        (
            lambda run: edit_json(run / "results.json", lambda results: results.update(weights_sha256="0" * 64)),
            r"model: its weights are not those that results\.json names",
        ),
    ],
)
def test_a_run_that_is_not_whole_is_refused_before_anything_is_trained(change, message, run, command):
    change(run)
    code, out, err = command("reproduce", run)
    assert (code, out) == (2, "")
    assert re.search(message, err), err
    assert not run.with_name("run-again").exists()


def test_a_run_of_an_earlier_version_has_its_versions_compared(run, command):
    (run / "environment.json").unlink()
    code, out, _ = command("reproduce", run)
    assert code == 0
    assert "The run has no environment.json" in out


def test_data_that_are_gone_and_a_directory_that_is_taken(run, data, tmp_path, command):
    (tmp_path / "taken").mkdir()
    code, _, err = command("reproduce", run, "--run-dir", tmp_path / "taken")
    assert (code, "exists already" in err) == (2, True)
    edit_json(run / "data.json", lambda record: record.update(source=str(tmp_path / "gone.npz")))
    code, _, err = command("reproduce", run)
    assert code == 2
    assert "its data are no longer in" in err
    assert command("reproduce", run, "--data", data, "--quiet", "--run-dir", tmp_path / "elsewhere").code == 0
    assert RunDirectory.open(tmp_path / "elsewhere").results is not None


def test_a_cross_validation_is_refused_and_one_of_its_folds_is_trained_again(tmp_path, bands, command):
    flags = ("--model", "softmax", "--max-steps", 4, "--batch-size", 20, "--quiet")
    assert command("train", bands(150), "--folds", 3, "--run-dir", tmp_path / "cv", *flags).code == 0
    code, _, err = command("reproduce", tmp_path / "cv")
    assert (code, "this is a cross-validation of 3 runs. Give one of them" in err) == (2, True)
    code, out, _ = command("reproduce", tmp_path / "cv" / "fold-2", "--quiet", "--run-dir", tmp_path / "again")
    assert (code, "identical to the bit" in out) == (0, True)


def test_a_student_is_trained_again_by_its_own_copy_of_the_teacher(made, data, tmp_path, command):
    teacher = shutil.copytree(made / "seed-1", tmp_path / "teacher")
    flags = ("--model", "softmax", "--max-steps", 6, "--batch-size", 100, "--quiet")
    assert command("train", data, "--teacher", teacher, "--run-dir", tmp_path / "student", *flags).code == 0
    shutil.rmtree(teacher)
    code, out, err = command("reproduce", tmp_path / "student", "--quiet")
    assert (code, "identical to the bit" in out) == (0, True), err


def test_a_transfer_is_trained_again_from_its_own_copy_of_the_backbone(made, data, tmp_path, command):
    source = shutil.copytree(made / "seed-1", tmp_path / "source")
    flags = ("--model", "transfer", "--weights", source, "--max-steps", 6, "--batch-size", 100, "--quiet")
    assert command("train", data, "--run-dir", tmp_path / "moved", *flags).code == 0
    shutil.rmtree(source)
    code, out, err = command("reproduce", tmp_path / "moved", "--quiet")
    assert (code, "identical to the bit" in out) == (0, True), err


def test_a_repetition_that_was_broken_off_is_gone_on_with(tmp_path, data, command, start):
    flags = ("--model", "fc", "--preset", "fast", "--batch-size", 20, "--epochs", 40, "--run-dir", tmp_path / "run")
    assert command("train", data, *flags, "--quiet").code == 0
    program = start("reproduce", tmp_path / "run")
    while not (tmp_path / "run-again" / "metrics.csv").exists():
        assert program.poll() is None
    os.kill(program.pid, signal.SIGTERM)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 143, err
    assert re.search(r"everything is saved\. Go on with: .*reproduce \S+ --run-dir \S+run-again", err)
    code, out, _ = command("reproduce", tmp_path / "run", "--json", "--quiet")
    found = json.loads(out)
    assert (code, found["identical"], found["path"]) == (0, True, str(tmp_path / "run-again"))
