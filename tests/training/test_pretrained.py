"""Transfer learning from our own runs and from files: what a run begins with, keeps, and refuses."""

import io
import os
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from eyebright.backend import keras
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, DownloadError, SettingsError, TrainingInterrupted
from eyebright.models.transfer import features_of, standardised
from eyebright.presets import preset_settings
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.training.checkpoint import Checkpoints
from eyebright.training.preparation import begin, build
from eyebright.training.pretrained import Pretrained, load_pretrained, run_architecture
from eyebright.training.trainer import resume, train

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 warns of, where it writes a file of weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

RUNS = {
    "cnn": {
        "model": "cnn", "channels": (4, 6), "optimizer": "momentum", "learning_rate": 0.02, "preprocessing":
        "per-channel", "epochs": 6, "dropout": 0.2,
    },
    "fc": {"optimizer": "momentum", "learning_rate": 0.01, "preprocessing": "whitening", "batch_norm": True},
    "fc-mean": {"optimizer": "sgd", "learning_rate": 1e-5, "hidden_units": 6, "layers": 2},
}  # fmt: skip
TRANSFER = {
    "model": "transfer", "optimizer": "adamw", "learning_rate": 1e-3, "dropout": 0.2, "augment": "light",
    "max_steps": 12, "checkpoint_steps": 5, "keep_checkpoints": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def pretrained_run(make_run):
    return lambda kind: make_run("plain", **RUNS[kind])


@pytest.fixture(scope="module")
def two_classes(dataset):
    """Other classes of images of the same shape: bright above, or bright below; 10 a class to learn from."""
    labels = np.arange(60, dtype=np.int32) % 2
    images = np.random.default_rng(5).integers(0, 120, (60, 8, 8, 1))
    images[labels == 0, :4] += 100
    images[labels == 1, 4:] += 100
    splits = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 60)}
    return Dataset(images.astype(np.uint8), labels, ("above", "below"), "halves", splits)


def transfer(make_settings, weights, **given):
    return make_settings(**{**TRANSFER, "weights": str(weights), **given})


@pytest.mark.parametrize("kind", RUNS)
def test_features_are_those_of_the_run_below_its_last_layer(kind, pretrained_run, two_classes, make_settings):
    source = pretrained_run(kind)
    settings = transfer(make_settings, source.path)
    pretrained = load_pretrained(settings, two_classes)
    model = build(settings, two_classes, pretrained)
    pretrained.put_into(model)
    classifier = source.classifier
    whole = classifier.model
    expected = keras.Model(whole.input, whole.get_layer("logits").input)(two_classes.images, training=False)
    found = features_of(model)(two_classes.images, training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.std(found) > 0


def test_ten_pictures_a_class_are_enough_where_the_backbone_knows_what_matters(
    pretrained_run, two_classes, make_settings, tmp_path
):
    source = pretrained_run("cnn")
    run = train(transfer(make_settings, source.path), two_classes, tmp_path / "run")
    assert run.results["test_accuracy"] > 0.8
    classifier = Classifier.load(run.path)
    assert classifier.class_names == ("above", "below")
    assert classifier.architecture.backbone == replace_dropout(source.classifier.architecture)
    kept = Pretrained.load(run.path / "backbone")
    assert kept.source == str(source.path)
    test = two_classes.splits["test"]
    right = classifier.predict(two_classes.images[test]).argmax(axis=1) == two_classes.labels[test]
    assert right.mean() == run.results["test_accuracy"]


def replace_dropout(architecture):
    return architecture.model_copy(update={"dropout": 0.0})


def test_statistics_of_batch_normalisation_stay_and_the_other_layers_learn(
    pretrained_run, two_classes, make_settings, tmp_path
):
    source = pretrained_run("cnn")
    before = source.classifier.weights
    after = train(transfer(make_settings, source.path), two_classes, tmp_path / "run").classifier.weights
    same = {name for name, array in after.items() if name in before and np.array_equal(array, before[name])}
    measured = {"standardize/mean", "standardize/standard_deviation", "whiten/kernel"}
    assert same == measured | {name for name in after if "_norm_" in name}


def test_a_transferred_classifier_is_a_backbone_in_its_turn(
    pretrained_run, two_classes, dataset, make_settings, tmp_path
):
    first = train(transfer(make_settings, pretrained_run("cnn").path), two_classes, tmp_path / "first")
    back = train(transfer(make_settings, first.path / "model"), dataset, tmp_path / "back")
    assert back.classifier.architecture.backbone == first.classifier.architecture.backbone
    assert back.results["test_accuracy"] > 0.8


@pytest.mark.parametrize("step", [0, 5, 10])
def test_a_run_goes_on_to_the_same_bits_after_its_backbones_run_was_deleted(
    step, pretrained_run, two_classes, make_settings, go_back, tmp_path
):
    own = shutil.copytree(pretrained_run("cnn").path, tmp_path / "source")
    expected = train(transfer(make_settings, own), two_classes, tmp_path / "expected")
    directory = go_back(expected, tmp_path / "run", step)
    shutil.rmtree(own)
    assert resume(directory, two_classes).results["weights_sha256"] == expected.results["weights_sha256"]


class WhereTheLastLayerIsTrained(io.StringIO):
    """A console's file that does something in the middle of the first stage."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def write(self, text):
        if text.startswith("Last layer trained"):
            self.act()
        return super().write(text)


def test_a_signal_in_the_first_stage_is_obeyed_when_its_work_is_saved(
    pretrained_run, two_classes, make_settings, tmp_path
):
    settings = transfer(make_settings, pretrained_run("fc-mean").path)
    console = Console(file=WhereTheLastLayerIsTrained(lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(TrainingInterrupted, match="everything is saved"):
        train(settings, two_classes, tmp_path / "run", console=console)
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))
    expected = train(settings, two_classes, tmp_path / "expected").results["weights_sha256"]
    assert resume(tmp_path / "run", two_classes).results["weights_sha256"] == expected


def test_the_first_stage_is_a_part_of_the_training_and_of_its_time(
    pretrained_run, two_classes, make_settings, tmp_path
):
    settings = transfer(make_settings, pretrained_run("fc-mean").path)
    console = Console(file=WhereTheLastLayerIsTrained(lambda: time.sleep(3)))
    results = train(settings, two_classes, tmp_path / "run", console=console).results
    assert 3 < results["train_seconds"] < results["total_seconds"]


def test_a_damaged_copy_of_the_backbone_is_an_error_that_names_it(
    pretrained_run, two_classes, make_settings, go_back, flip_bit, tmp_path
):
    run = train(transfer(make_settings, pretrained_run("cnn").path), two_classes, tmp_path / "one")
    directory = go_back(run, tmp_path / "run", 5)
    flip_bit(directory / "backbone" / "weights.npz", 3000)
    with pytest.raises(ClassifierError, match=f"{directory / 'backbone' / 'weights.npz'}: damaged"):
        resume(directory, two_classes)


def test_a_checkpoint_becomes_a_classifier(pretrained_run, two_classes, make_settings, tmp_path):
    run = train(transfer(make_settings, pretrained_run("cnn").path), two_classes, tmp_path / "run")
    architecture = run_architecture(RunDirectory.open(run.path))
    last = Checkpoints(run.path / "checkpoints", 20).load_classifier("step-12", architecture, ("above", "below"))
    assert last.weights_sha256 == run.results["weights_sha256"]


@pytest.mark.parametrize("preprocessing", ["mean-image", "none"])
def test_a_network_on_raw_pixels_answers_the_same_on_standardised_ones(preprocessing, pretrained_run, dataset):
    classifier = pretrained_run("fc-mean" if preprocessing == "mean-image" else "fc").classifier
    assert classifier.architecture.preprocessing == preprocessing
    architecture, weights = standardised(classifier.architecture, classifier.weights)
    again = Classifier(architecture, classifier.class_names, weights)
    assert again.architecture.preprocessing == "per-channel"
    expected = classifier.logits(dataset.images)
    np.testing.assert_allclose(again.logits(dataset.images), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def refused(settings, dataset, tmp_path, error=SettingsError):
    with pytest.raises(error) as caught:
        train(settings, dataset, tmp_path / "run")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    return str(caught.value)


def test_images_of_another_size_are_refused_and_both_sizes_named(pretrained_run, two_classes, make_settings, tmp_path):
    wide = replace(two_classes, images=np.concatenate([two_classes.images] * 2, axis=2), name="wide")
    path = pretrained_run("cnn").path
    message = refused(transfer(make_settings, path), wide, tmp_path)
    assert message.startswith(
        f"--weights {path}: it sees images of 8 × 8 × 1 (height × width × channels), and those of"
    )
    assert "wide are 8 × 16 × 1" in message


def test_a_backbone_that_is_not_that_of_the_run_is_refused(pretrained_run, two_classes, make_settings, tmp_path):
    settings = transfer(make_settings, pretrained_run("cnn").path, backbone="convnext-tiny")
    assert "--backbone convnext-tiny: contradicts" in refused(settings, two_classes, tmp_path)


def test_a_softmax_run_has_no_backbone(make_run, two_classes, make_settings, tmp_path):
    run = make_run("plain", model="softmax")
    assert "a softmax model has no layers below its last" in refused(
        transfer(make_settings, run.path), two_classes, tmp_path
    )


@pytest.mark.parametrize(
    ("weights", "hint"), [("imagenett", "Did you mean 'imagenet'?"), ("no/such.h5", "Give imagenet")]
)
def test_weights_that_are_not_there_are_refused(weights, hint, two_classes, make_settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(transfer(make_settings, weights), two_classes, tmp_path)
    assert message.startswith(f"--weights {weights}: there is no such file or run.")
    assert hint in message


def test_a_directory_that_is_no_run_is_refused(two_classes, make_settings, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused(transfer(make_settings, tmp_path / "empty"), two_classes, tmp_path, ClassifierError)
    assert message.startswith(f"--weights: {tmp_path / 'empty'}: no saved classifier is there")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """What `save_weights` writes of Keras's own network, of random weights and without its head."""
    network = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(64, 64, 3))
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network.save_weights(path)
    return path, network


def test_weights_of_a_file_are_put_into_kerass_network_and_the_run_goes_on_without_it(
    weights_file, two_classes, make_settings, go_back, tmp_path
):
    path, network = weights_file
    own = shutil.copy(path, tmp_path / path.name)
    settings = transfer(make_settings, own, max_steps=3, checkpoint_steps=2)
    pretrained = load_pretrained(settings, two_classes)
    for mine, theirs in zip(pretrained.weights.values(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = train(settings, two_classes, tmp_path / "expected")
    assert RunDirectory.open(expected.path).settings.backbone == "mobilenet-v3-small"
    directory = go_back(expected, tmp_path / "again", 0)
    (tmp_path / path.name).unlink()
    assert resume(directory, two_classes).results["weights_sha256"] == expected.results["weights_sha256"]
    assert Classifier.load(expected.path).predict(two_classes.images[:2]).shape == (2, 2)


@pytest.mark.parametrize("backbone", ["mobilenet-v3-large", "efficientnet-v2-b0", "mobilenet-v2"])
def test_weights_of_another_backbone_are_refused(backbone, weights_file, two_classes, make_settings, tmp_path):
    path, _ = weights_file
    message = refused(transfer(make_settings, path, backbone=backbone), two_classes, tmp_path)
    assert message.startswith(f"--weights {path}: no weights of the backbone {backbone} without its head.")


def test_a_damaged_file_is_refused(weights_file, two_classes, make_settings, tmp_path):
    path = tmp_path / "cut.weights.h5"
    path.write_bytes(weights_file[0].read_bytes()[:100_000])
    assert f"--weights {path}: no weights of" in refused(transfer(make_settings, path), two_classes, tmp_path)
    path.write_bytes(b"no weights")
    assert f"--weights {path}: no weights of" in refused(transfer(make_settings, path), two_classes, tmp_path)


def test_weights_that_are_not_finite_are_refused(two_classes, make_settings, tmp_path):
    network = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(64, 64, 3))
    network.weights[0].assign(np.full(network.weights[0].shape, np.nan))
    network.save_weights(tmp_path / "nan.weights.h5")
    message = refused(transfer(make_settings, tmp_path / "nan.weights.h5"), two_classes, tmp_path)
    assert "conv/kernel is not finite" in message


def test_imagenet_without_a_network_says_what_to_fetch_and_where_to_put_it(
    two_classes, make_settings, tmp_path, monkeypatch, capsys
):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    message = refused(transfer(make_settings, "imagenet"), two_classes, tmp_path, DownloadError)
    assert message.startswith("--weights imagenet: the weights of mobilenet-v3-small are not here")
    assert "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5 elsewhere and put it into " in message
    assert "--weights FILE" in message
    assert capsys.readouterr().out == ""


def test_without_weights_it_is_a_network_like_any_other(two_classes):
    settings = preset_settings("fast", model="transfer", weights="none", precision="float32")
    assert load_pretrained(settings, two_classes) is None
    model = build(settings, two_classes)
    begin(model, settings, two_classes, two_classes.splits["train"], None, None)
    assert any("bn" in variable.path for variable in model.trainable_variables)


def test_other_models_have_no_weights_to_begin_with(two_classes):
    assert load_pretrained(Settings(epochs=1), two_classes) is None
