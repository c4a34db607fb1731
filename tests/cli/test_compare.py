import json
import re
import shutil

import numpy as np
import pytest

from eyebright import Dataset, load_dataset, preset_settings, train
from eyebright.arrays import arrays_to_npz, npz_to_arrays

pytestmark = pytest.mark.xdist_group("compare")  # its runs are trained once, where tests run in several processes

SENTENCE = re.compile(r"(\S+) is better by (\d+\.\d) points than (\S+) \(95% interval (-?\d+\.\d) to (\d+\.\d)\)\.")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits):
    """Three runs on the digits: two seeds of the same, and one that learnt far less."""
    folder = tmp_path_factory.mktemp("compared")
    for name, changes in {"good": {}, "other": {"seed": 1}, "poor": {"max_steps": 3}}.items():
        settings = preset_settings(
            "default", model="softmax", batch_size=100, **{"epochs": 3, **changes} if name != "poor" else changes
        )
        train(settings, digits, folder / name)
    return folder


@pytest.fixture
def copies(runs, tmp_path):
    return shutil.copytree(runs, tmp_path / "copies")


def rewrite(run, change):
    """Change what a run kept of its test."""
    path = run / "test_predictions.npz"
    arrays = npz_to_arrays(path.read_bytes())
    change(arrays)
    path.write_bytes(arrays_to_npz(arrays))


def edit_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def right(run):
    arrays = npz_to_arrays((run / "test_predictions.npz").read_bytes())
    return arrays["logits"].argmax(1) == arrays["labels"]


def test_the_better_run_is_named_with_an_interval_and_no_one_looks_at_the_test_images(runs, command):
    code, out, err = command("compare", runs / "poor", runs / "good")
    assert (code, err) == (0, "")
    better, points, worse, low, high = SENTENCE.match(out).groups()
    assert (better, worse) == ("good", "poor")
    difference = right(runs / "good").mean() - right(runs / "poor").mean()
    assert float(points) == pytest.approx(100 * difference, abs=0.05)
    assert float(low) < float(points) < float(high)
    assert "Per class" in out
    assert "met the test images" not in out
    assert json.loads((runs / "good" / "looks.json").read_text()) == {"test_looks": 1}


def test_json_has_the_second_less_the_first(runs, command):
    code, out, err = command("compare", runs / "good", runs / "poor", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    one, two = right(runs / "good"), right(runs / "poor")
    assert (found["first"], found["second"], found["n"]) == ("good", "poor", len(one))
    assert found["difference"] == pytest.approx(two.mean() - one.mean())
    assert found["ci95"][0] < found["difference"] < found["ci95"][1] < 0
    assert (found["only_first"], found["only_second"]) == ((one & ~two).sum(), (two & ~one).sum())
    assert found["p_value"] == found["p_value_holm"] < 0.05
    assert found["sentence"].startswith("good is better by ")
    assert [row["n"] for row in found["per_class"]] == np.bincount(
        npz_to_arrays((runs / "good" / "test_predictions.npz").read_bytes())["labels"]
    ).tolist()
    assert found["test_looks"] == {"good": 1, "poor": 1}


def test_answers_are_compared_as_they_are_calibrated(copies, command):
    poor, good = copies / "poor", copies / "good"
    assert command("calibrate", poor, "--method", "vector").code == 0
    accuracies = [json.loads((run / "results.json").read_text())["test_accuracy"] for run in (poor, good)]
    assert accuracies[0] != right(poor).mean()  # else there is nothing to see here
    found = json.loads(command("compare", poor, good, "--json").out)
    assert found["difference"] == pytest.approx(accuracies[1] - accuracies[0])
    (poor / "model" / "calibration.json").write_text("{")
    code, out, err = command("compare", poor, good)
    assert (code, out) == (2, "")
    assert "calibration.json: damaged" in err


def test_two_seeds_cannot_be_told_apart(runs, command):
    code, out, _ = command("compare", runs / "good", runs / "other")
    assert code == 0
    assert "cannot be told apart" in out.splitlines()[0]


def test_how_many_images_would_be_needed(copies, command):
    """Four images that one is right about, two that the other is."""
    for run, flipped in (("good", slice(0, 4)), ("other", slice(4, 6))):

        def answer(arrays, flipped=flipped):
            arrays["logits"] = np.eye(10)[arrays["labels"]]
            arrays["logits"][flipped] *= -1

        rewrite(copies / run, answer)
    found = json.loads(command("compare", copies / "good", copies / "other", "--json").out)
    assert (found["only_first"], found["only_second"], found["p_value"]) == (2, 4, 0.6875)
    discordant, difference = 6 / found["n"], 2 / found["n"]
    expected = ((1.95996 * discordant**0.5 + 0.84162 * (discordant - difference**2) ** 0.5) / difference) ** 2  # Connor
    assert found["images_needed"] == pytest.approx(expected, abs=1)
    assert re.search(r"; about 4,200 images would be needed\.$", found["sentence"])


def test_of_more_than_two_runs_every_pair_is_compared_with_holms_correction(runs, command):
    found = json.loads(command("compare", runs / "good", runs / "other", runs / "poor", "--json").out)
    assert [(one["first"], one["second"]) for one in found] == [("good", "other"), ("good", "poor"), ("other", "poor")]
    plain = sorted(one["p_value"] for one in found)
    corrected = sorted(one["p_value_holm"] for one in found)
    assert corrected[0] == pytest.approx(min(1, 3 * plain[0]))
    assert all(one["p_value_holm"] >= one["p_value"] for one in found)
    code, out, _ = command("compare", runs / "good", runs / "other", runs / "poor")
    assert code == 0
    assert len(re.findall(r" (is better by|cannot be told apart)", out)) == 3
    assert "p, by Holm" in out
    assert re.search(r"; about \S+ images would be needed, for this pair by itself\.", out)


def test_order_of_images_and_of_classes_plays_no_part(copies, command):
    expected = json.loads(command("compare", copies / "good", copies / "poor", "--json").out)
    order, classes = np.random.default_rng(0).permutation(360), np.roll(np.arange(10), 3)

    def shuffle(arrays):
        new = order[order < len(arrays["labels"])]
        arrays["labels"] = np.argsort(classes)[arrays["labels"]][new].astype(np.int32)
        arrays["logits"] = arrays["logits"][:, classes][new]
        arrays["image_sha256"] = arrays["image_sha256"][new]

    rewrite(copies / "poor", shuffle)
    names = json.loads((copies / "poor" / "data.json").read_text())["class_names"]
    edit_json(copies / "poor" / "data.json", class_names=[names[i] for i in classes])
    assert json.loads(command("compare", copies / "good", copies / "poor", "--json").out) == expected


def test_an_image_that_is_there_twice_has_two_partners(copies, command):
    def double(arrays):
        for name in ("labels", "logits", "image_sha256"):
            arrays[name] = np.concatenate([arrays[name], arrays[name][:5]])

    for name in ("good", "poor"):
        rewrite(copies / name, double)
    found = json.loads(command("compare", copies / "good", copies / "poor", "--json").out)
    assert found["n"] == len(right(copies / "good"))
    rewrite(copies / "other", lambda arrays: None)
    assert "their test images are others" in command("compare", copies / "good", copies / "other").err


def test_images_of_a_group_count_together(copies, command):
    def compared(*flags):
        return command("compare", copies / "poor", copies / "good", *flags)

    alone = json.loads(compared("--json").out)
    for run in ("poor", "good"):
        rewrite(copies / run, lambda arrays: arrays.update(units=np.arange(len(arrays["labels"])) // 40))
    found = json.loads(compared("--json").out)
    groups = -(-found["n"] // 40)
    assert (alone["groups"], found["groups"], found["test"]) == (None, groups, "exact test of groups")
    assert found["difference"] == alone["difference"]
    assert found["p_value"] > alone["p_value"]
    assert found["p_value"] >= 2 / 2**groups  # the least that so many signs can show
    assert f"count together: {found['n']} images as {groups}." in compared().out
    rewrite(copies / "good", lambda arrays: arrays.update(units=arrays["units"] + 1))
    code, out, err = compared()
    assert (code, out) == (2, "")
    assert f"{copies / 'good' / 'test_predictions.npz'}: damaged: its groups do not fit" in err


def other_images(run):
    def change(arrays):
        arrays["image_sha256"] = arrays["image_sha256"].copy()
        arrays["image_sha256"][:3] ^= 1

    rewrite(run, change)


def other_labels(run):
    def change(arrays):
        arrays["labels"] = arrays["labels"].copy()
        arrays["labels"][7] = (arrays["labels"][7] + 1) % 10

    rewrite(run, change)


def other_classes(run):
    names = json.loads((run / "data.json").read_text())["class_names"]
    edit_json(run / "data.json", class_names=["nought", *names[1:]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_images, r"their test images are others: 359 and 359, 356 of them in both"),
        (other_labels, r"their test images have other labels \(1 of 359\): image 7 of the first is '\d' there"),
        (other_classes, r"their classes are others: only \S+poor has nought; only \S+good has 0"),
        (lambda run: (run / "results.json").unlink(), r"this run is not finished. Go on with it: .*train --resume"),
        (
            lambda run: (run / "test_predictions.npz").write_bytes(b"PK"),
            r"test_predictions.npz: damaged: .* Restore it",
        ),
        (
            lambda run: edit_json(run / "results.json", weights_sha256="0" * 64),
            r"test_predictions.npz: it is of another classifier than the run's",
        ),
        (lambda run: rewrite(run, lambda arrays: arrays.pop("labels")), r"test_predictions.npz: damaged: 'labels'"),
        (
            lambda run: rewrite(run, lambda arrays: arrays.update(labels=arrays["labels"][:9])),
            r"damaged: its arrays do not fit each other",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_and_named(change, message, copies, command):
    change(copies / "poor")
    code, out, err = command("compare", copies / "good", copies / "poor", "--json")
    assert (code, out) == (2, "")
    assert re.search(message, err), err
    assert str(copies / "poor") in err


def test_arguments_that_mean_nothing_are_refused(runs, tmp_path, command):
    for arguments, message in [
        ((runs / "good",), "one run compares with nothing"),
        ((runs / "good", runs / "good"), "named twice"),
        ((runs / "good", tmp_path / "none"), "there is no such directory"),
        ((runs / "good", runs / "good" / "model"), "this is a part of a run"),
    ]:
        code, out, err = command("compare", *arguments)
        assert (code, out) == (2, "")
        assert message in err


def test_looks_at_the_test_images_are_said(copies, command):
    edit_json(copies / "poor" / "looks.json", test_looks=7)
    out = command("compare", copies / "good", copies / "poor").out
    assert "poor: its models met the test images 7 times." in out
    assert "good: its models" not in out


def test_a_run_that_lost_what_it_kept_is_asked_again_which_is_a_look(copies, command):
    expected = command("compare", copies / "good", copies / "poor", "--json").out
    (copies / "poor" / "test_predictions.npz").unlink()
    code, out, err = command("compare", copies / "good", copies / "poor", "--data", "digits", "--json")
    assert code == 0
    assert "its classifier met the test images again (looks so far: 2)" in err
    assert {**json.loads(out), "test_looks": None} == {**json.loads(expected), "test_looks": None}
    assert json.loads(out)["test_looks"] == {"good": 1, "poor": 2}
    assert command("compare", copies / "good", copies / "poor", "--json").err == ""


def test_other_data_for_a_run_that_lost_what_it_kept_are_refused(copies, tmp_path, digits, command):
    (copies / "poor" / "test_predictions.npz").unlink()
    np.savez(tmp_path / "few.npz", images=digits.images[:100], labels=digits.labels[:100])
    code, out, err = command("compare", copies / "good", copies / "poor", "--data", tmp_path / "few.npz")
    assert (code, out) == (2, "")
    assert "this is not the data of the run" in err


@pytest.fixture(scope="module")
def of_seeds(tmp_path_factory, process):
    """Two trainings of three seeds each."""
    folder = tmp_path_factory.mktemp("seeds")
    for name, steps in {"short": 4, "long": 40}.items():
        flags = ("--model", "softmax", "--max-steps", steps, "--batch-size", 100, "--quiet")
        assert process("train", "--seeds", 3, "--run-dir", folder / name, *flags).code == 0
    return folder


def test_several_seeds_are_paired_by_seed_and_said_apart_from_images(of_seeds, command):
    code, out, err = command("compare", of_seeds / "short", of_seeds / "long")
    assert (code, err) == (0, "")
    first, second = out.splitlines()[:2]
    assert SENTENCE.match(first)[1] == "long"
    assert second.startswith("Other test images would give the mean of these trainings a difference of ")
    found = json.loads(command("compare", of_seeds / "short", of_seeds / "long", "--json").out)
    accuracies = [[right(of_seeds / name / f"seed-{seed}").mean() for seed in range(3)] for name in ("short", "long")]
    differences = np.subtract(*accuracies[::-1])
    assert found["seeds"] == [0, 1, 2]
    assert found["difference"] == pytest.approx(differences.mean())
    assert [one["difference"] for one in found["each_seed"]] == pytest.approx(differences.tolist())
    assert found["images_ci95"][0] < found["difference"] < found["images_ci95"][1]
    assert found["ci95"] != found["images_ci95"]
    rows = json.loads(command("runs", of_seeds, "--json").out)
    assert [(row["run"], row["state"], row["runs"]) for row in rows] == [
        ("long", "finished", "3 seeds"),
        ("short", "finished", "3 seeds"),
    ]
    results = json.loads((of_seeds / "long" / "results.json").read_text())
    assert rows[0]["test_accuracy"] == pytest.approx(results["test_accuracy_mean"])
    assert rows[0]["test_accuracy_ci95"] == results["test_accuracy_mean_ci95"]


def test_a_training_of_seeds_that_is_not_finished_is_refused(of_seeds, tmp_path, command):
    unfinished = shutil.copytree(of_seeds / "long", tmp_path / "unfinished")
    (unfinished / "results.json").unlink()
    code, out, err = command("compare", of_seeds / "short", unfinished)
    assert (code, out) == (2, "")
    assert re.search(r"not all of its runs are finished. Go on with it: .*train --resume", err)


def test_several_seeds_and_one_run_are_refused_and_so_are_seeds_without_partners(of_seeds, runs, tmp_path, command):
    code, _, err = command("compare", of_seeds / "short", runs / "good")
    assert code == 2
    assert "short was trained with 3 seeds, good is one run" in err
    shutil.copytree(of_seeds / "long" / "seed-0", tmp_path / "few" / "seed-0")
    code, _, err = command("compare", of_seeds / "short", tmp_path / "few")
    assert code == 2
    assert "fewer than two seeds in common" in err


def test_cross_validations_are_compared_by_all_images(tmp_path, bands, command):
    data = bands(150)
    for seed in (0, 1):
        flags = ("--model", "softmax", "--max-steps", 4, "--batch-size", 20, "--seed", seed, "--quiet")
        assert command("train", data, "--folds", 3, "--run-dir", tmp_path / f"cv-{seed}", *flags).code == 0
    found = json.loads(command("compare", tmp_path / "cv-0", tmp_path / "cv-1", "--json").out)
    results = [json.loads((tmp_path / f"cv-{seed}" / "results.json").read_text()) for seed in (0, 1)]
    assert found["n"] == len(load_dataset(data)) == 150
    assert found["difference"] == pytest.approx(results[1]["accuracy"] - results[0]["accuracy"])


def test_images_of_other_sizes_are_a_reason_that_is_named(tmp_path, command):
    random = np.random.default_rng(0)
    for size in (4, 5):
        images = random.integers(0, 256, (60, size, size, 1), np.uint8)
        dataset = Dataset(images, np.arange(60, dtype=np.int32) % 2, ("dark", "bright"), "shades")
        train(preset_settings("default", model="softmax", max_steps=2, batch_size=10), dataset, tmp_path / f"of-{size}")
    err = command("compare", tmp_path / "of-4", tmp_path / "of-5").err
    assert "They were read as 5 × 5 × 1 there and as 4 × 4 × 1 here." in err
