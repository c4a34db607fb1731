"""From nothing to named pictures, as a person goes: by the commands, and by the Python API on the real CIFAR-10."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from eyebright import Classifier, Dataset, evaluate, load_dataset, preset_settings, resume, train
from eyebright.prediction import predict_files
from eyebright.presets import preset_names, resolve_settings


def eyebright(*arguments, cwd):
    command = [sys.executable, "-m", "eyebright", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_a_shell(line, cwd):
    """What a command prints that was copied from a message."""
    return subprocess.run(line, shell=True, cwd=cwd, check=True, capture_output=True, encoding="utf-8").stdout


def test_the_two_commands_of_a_beginner_and_those_that_are_proposed_next(tmp_path):
    out = eyebright("train", cwd=tmp_path)
    accuracy, low, high = map(float, re.search(r"Test accuracy (\S+) .*interval (\S+) to (\S+)\) on 359", out).groups())
    assert accuracy >= 0.95
    assert low < accuracy < high

    digits = load_dataset("digits")
    Image.fromarray(digits.images[0, :, :, 0]).resize((80, 80)).save(tmp_path / "digit.png")
    proposed = [line for line in out.splitlines() if line.startswith("  ")]
    assert [re.search(r"eyebright (\w+)", line)[1] for line in proposed] == [
        "predict",
        "report",
        "plot",
        "tensorboard",
        "evaluate",
    ]
    predict_command, report_command, plot_command, _, evaluate_command = proposed
    answered = json.loads(in_a_shell(predict_command.replace("PICTURE…", "digit.png --json"), cwd=tmp_path))
    assert answered[0]["label"] == digits.class_names[digits.labels[0]]
    assert (
        (tmp_path / in_a_shell(report_command, cwd=tmp_path).strip()).read_text("utf-8").startswith("<!DOCTYPE html>")
    )
    picture = in_a_shell(plot_command, cwd=tmp_path).strip()
    assert "on 144 images (digits, validation images)" in in_a_shell(evaluate_command, cwd=tmp_path)
    with Image.open(tmp_path / picture) as chart:
        assert chart.format == "PNG"


@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 10), ((28, 28, 1), 10), ((32, 32, 3), 100)], ids=str)
@pytest.mark.parametrize(
    ("model", "preset"), [(model, preset) for model, presets in preset_names().items() for preset in presets]
)
def test_every_preset_trains_unchanged_on_images_of_every_kind(model, preset, shape, classes, tmp_path):
    """Digits, and what is shaped as MNIST and CIFAR-100 are; but for its length, which is two steps."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (300, *shape), np.uint8), np.arange(300, dtype=np.int32) % classes
    dataset = Dataset(images, labels, tuple(map(str, range(classes))), "random")
    needed = {"weights": "none"} if model == "transfer" else {}  # those of ImageNet would be downloaded
    resolved = resolve_settings({"preset": preset, "model": model, "max_steps": 2, **needed})
    settings, _ = resolved.fitted(210, shape)
    run = train(settings, dataset, tmp_path / "run")
    assert run.results["steps"] == 2
    classifier = run.classifier
    assert classifier.tta == ("none" if shape[2] == 1 else settings.tta)
    probabilities = classifier.predict(images[:3])
    assert probabilities.shape == (3, classes)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)


@pytest.fixture(scope="module")
def cifar10(cifar10_path):
    return load_dataset(cifar10_path)


def test_the_tutorials_network_on_the_real_cifar10_by_the_python_api(cifar10, tmp_path):
    settings = preset_settings("tutorial", model="fc", max_steps=150, checkpoint_steps=100, precision="float32")
    run = train(settings, cifar10, tmp_path / "run")
    assert run.results["test_images"] == 10_000
    assert 0.2 < run.results["test_accuracy"] < 0.5  # after 150 of the 2,000 steps; chance is 0.1

    test_images = cifar10.splits["test"]
    result = evaluate(run.classifier, cifar10, test_images)
    assert (result.accuracy, result.accuracy_ci95) == (
        run.results["test_accuracy"], tuple(run.results["test_accuracy_ci95"]),
    )  # fmt: skip
    assert [row["support"] for row in result.per_class] == [1000] * 10

    longer = resume(run.path, cifar10, flags={"max_steps": 200})
    at_once = train(settings.model_copy(update={"max_steps": 200}), cifar10, tmp_path / "at-once")
    assert longer.results["weights_sha256"] == at_once.results["weights_sha256"]

    some = test_images[:50]
    probabilities = Classifier.load(tmp_path / "run").predict(cifar10.images[some])
    assert probabilities.shape == (50, 10)
    for place, index in enumerate(some):
        Image.fromarray(cifar10.images[index]).save(tmp_path / f"{place}.png")
    answers = predict_files(run.classifier, [tmp_path / f"{place}.png" for place in range(50)], top=10)
    for answer, expected in zip(answers, probabilities, strict=True):
        got = [dict(answer.top)[name] for name in cifar10.class_names]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)
