"""Transfer learning by the command line: from a run found again elsewhere, and what goes wrong in one message."""

import tomllib
import warnings

import numpy as np
import pytest

from eyebright.backend import keras

TINY = ("--max-steps", 3, "--batch-size", 8, "--validation", 0)


@pytest.fixture
def source(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cnn = ("--model", "cnn", "--channels", "4,6")
    assert command("train", "digits", *cnn, *TINY, "--run-dir", "source", "--quiet").code == 0
    return tmp_path / "source"


@pytest.fixture
def few(digits, tmp_path):
    """Ten images each of two classes, dark on bright: a network that knows the digits has not seen them."""
    chosen = np.concatenate([np.flatnonzero(digits.labels == label)[:10] for label in (3, 8)])
    labels = (digits.labels[chosen] == 8).astype(np.int32)
    np.savez(tmp_path / "few.npz", images=255 - digits.images[chosen], labels=labels)
    return "few.npz"


@pytest.fixture
def few_file(digits, few, tmp_path):
    network = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(32, 32, 3))
    with warnings.catch_warnings():  # of NumPy, about how Keras 3.15 turns its variables into arrays
        warnings.simplefilter("ignore", DeprecationWarning)
        network.save_weights(tmp_path / "mobilenet.weights.h5")
    return tmp_path / few, tmp_path / "mobilenet.weights.h5"


def test_ten_pictures_a_class_train_and_the_figure_says_how_little_it_says(source, few, command, tmp_path, monkeypatch):
    trained = command("train", few, "--model", "transfer", "--weights", "source", *TINY, "--run-dir", "run")
    assert trained.code == 0, trained.err
    assert "Last layer trained on 6 features of each image: training accuracy" in trained.out
    assert "4 test images are too few for this figure" in trained.out
    settings = tomllib.loads((tmp_path / "run" / "settings.toml").read_text())
    assert settings["weights"] == str(source)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command("train", "--resume", "../run", "--weights", "../source").code == 0
    assert "contradicts the run" in command("train", "--resume", "../run", "--weights", "../run").err
    evaluated = command("evaluate", "../run", "--checkpoint", "step-3")
    assert evaluated.code == 0, evaluated.err


def test_threads_are_set_before_keras_reads_a_file(few_file, process, tmp_path):
    file, weights = few_file
    flags = ("--model", "transfer", "--weights", weights, "--threads", 1, "--run-dir", tmp_path / "run")
    answer = process("train", file, *flags, *TINY, "--max-steps", 1)
    assert answer.code == 0, answer.err
    assert tomllib.loads((tmp_path / "run" / "settings.toml").read_text())["threads"] == 1


def test_enough_test_images_are_not_called_too_few(source, command):
    out = command("train", "digits", "--model", "softmax", *TINY, "--max-steps", 60, "--run-dir", "run").out
    assert "Test accuracy" in out
    assert "too few" not in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--weights", "nowhere"), "SettingsError: --weights {}/nowhere: there is no such file or run. Give"),
        (("--weights", "imagenett"), "SettingsError: --weights {}/imagenett: there is no such file or run. Did you"),
        (("--channels", "9"), "SettingsError: --channels: the transfer model has no such setting."),
        (("--backbone", "resnet"), "SettingsError: --backbone resnet: input should be"),
        (
            ("--weights", "few.npz"),
            "SettingsError: --weights {}/few.npz: no weights of the backbone mobilenet-v3-small",
        ),
    ],
    ids=["nowhere", "imagenett", "channels", "backbone", "no-weights"],
)
def test_a_mistake_is_one_message(flags, message, source, few, command, tmp_path):
    answer = command("train", few, "--model", "transfer", *flags, *TINY, "--run-dir", "run")
    assert answer.code == 2
    assert answer.err.startswith(message.format(tmp_path))
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_weights_are_no_setting_of_other_models(command):
    assert "--weights: the fc model has no such setting" in command("train", "--weights", "none").err
