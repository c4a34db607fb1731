"""What the user can mend, through the real command: exit code 2, one short message, no half-made run."""

import os
import struct

import numpy as np
import pytest
from PIL import Image

from eyebright.classifier import Classifier
from eyebright.models import Architecture, build_model
from eyebright.models.network import model_weights

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 3073
LONGEST = 600  # characters of a message, its paths left out


def cifar(folder, **changed):
    """A small CIFAR-10 in its binary version, some of its files with other content (None: without the file)."""
    folder.mkdir()
    records = b"".join(bytes([label]) + bytes(RECORD - 1) for label in range(10))
    files = {f"data_batch_{number}": records for number in range(1, 6)} | {"test_batch": records}
    for stem, content in {**files, **changed}.items():
        if content is not None:
            (folder / f"{stem}.bin").write_bytes(content)
    (folder / "batches.meta.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return folder


def malicious_pickle(folder):
    """CIFAR-10's Python version, whose first batch would make a file when it is loaded as pickles are."""
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    return folder


def idx(folder, magic=0x803, images=20, stored=20):
    folder.mkdir()
    for part in ("train", "t10k"):
        header = struct.pack(">IIII", magic, images, 4, 4)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(stored * 16))
        labels = bytes(number % 10 for number in range(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, images) + labels)
    return folder


def npz(path, images=None, labels=None, **arrays):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), np.uint8) if images is None else images
    labels = np.arange(len(images)) % 2 if labels is None else labels
    np.savez(path, images=images, labels=labels, **arrays)
    return path


def objects(path):
    path.parent.mkdir(exist_ok=True)
    np.savez(path, images=np.array([[1], "a"], dtype=object), labels=np.zeros(2, np.int32))
    return path


def toml(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def loop(path):
    path.symlink_to(path.name)
    return path


def forbidden(path):
    path.write_bytes(b"")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    return path


def begun_run(path, settings):
    path.mkdir()
    (path / "settings.toml").write_text(settings)
    (path / "data.json").write_text("{}")
    return path


def classifier(path):
    architecture = Architecture(model="softmax", image_shape=(4, 4, 1), classes=2, preprocessing="mean-image")
    Classifier(architecture, ("cat", "dog"), model_weights(build_model(architecture))).save(path)
    return path


def truncated(path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:700])
    return path


TWO_CLASSES = np.repeat([0, 1], [39, 1])
FLOATS = np.random.default_rng(0).random((40, 4, 4, 1))

DATA = {
    "CIFAR batch cut short": (
        lambda p: cifar(p / "c", data_batch_2=bytes(10 * RECORD - 1)), ["data_batch_2.bin", "30,729", "cut short"]
    ),
    "CIFAR batch one byte too long": (
        lambda p: cifar(p / "c", data_batch_5=bytes(10 * RECORD + 1)), ["data_batch_5.bin", "30,731", "added to"]
    ),
    "CIFAR label out of range": (
        lambda p: cifar(p / "c", test_batch=bytes([10]) + bytes(RECORD - 1)),
        ["test_batch.bin", "record 0", "label 10", "0 … 9"],
    ),
    "CIFAR batch empty": (lambda p: cifar(p / "c", data_batch_1=b""), ["data_batch_1.bin", "empty"]),
    "CIFAR batch missing": (lambda p: cifar(p / "c", data_batch_3=None), ["missing data_batch_3.bin"]),
    "a pickle that would run code": (lambda p: malicious_pickle(p / "c"), ["batches.meta", "system"]),
    "IDX with a wrong magic number": (lambda p: idx(p / "i", magic=0x802), ["train-images-idx3-ubyte", "802"]),
    "IDX of a wrong size": (lambda p: idx(p / "i", stored=19), ["train-images-idx3-ubyte", "320 bytes", "has 304"]),
    "npz with object arrays": (lambda p: objects(p / "d.npz"), ["d.npz", "images", "object"]),
    "npz of a wrong shape": (
        lambda p: npz(p / "d.npz", np.zeros((40, 3, 8, 8), np.uint8)), ["d.npz", "[40, 3, 8, 8]", "moveaxis"]
    ),
    "npz with pixels above 255": (lambda p: npz(p / "d.npz", FLOATS * 300), ["d.npz", "0 … 255"]),
    "npz with pixels below 0": (lambda p: npz(p / "d.npz", FLOATS * 100 - 50), ["d.npz", "0 … 255"]),
    "npz with pixels that are not numbers": (lambda p: npz(p / "d.npz", FLOATS * np.nan), ["d.npz", "nan"]),
    "npz with pixels within 0 … 1": (lambda p: npz(p / "d.npz", FLOATS), ["d.npz", "uint8", "images * 255"]),
    "labels that are all missing": (
        lambda p: npz(p / "d.npz", labels=np.full(40, -1)), ["d.npz", "labels", "all 40 labels are missing"]
    ),
    "one class only": (
        lambda p: npz(p / "d.npz", labels=np.zeros(40, int), class_names=["cat", "dog"]), ["'cat'", "two classes"]
    ),
    "a single image where a stratified split needs two": (
        lambda p: npz(p / "d.npz", labels=TWO_CLASSES, class_names=["cat", "dog"]), ["'dog'", "single image", "two"]
    ),
    "a name of the catalogue misspelt": (lambda p: "cifr10", ["'cifr10'", "Did you mean 'cifar10'?"]),
    "a path that is not there": (lambda p: p / "nothing", ["nothing", "neither"]),
    "a path that leads in a circle": (lambda p: loop(p / "circle.npz"), ["circle.npz"]),
    "a file that may not be read": (lambda p: forbidden(p / "d.npz"), ["d.npz", "Permission denied"]),
    "a directory without data": (lambda p: p, ["no data set is recognised", "CIFAR-10", "IDX", ".npz"]),
    "an empty file": (lambda p: toml(p / "d.npz", b""), ["d.npz"]),
    "a file of another kind": (lambda p: toml(p / "d.h5", b"a,b"), ["d.h5", "not recognised"]),
}  # fmt: skip

SETTINGS = {
    "batch size 0": (lambda p: ["--batch-size", 0], ["--batch-size", "greater than or equal to 1"]),
    "batch size negative": (lambda p: ["--batch-size", -5], ["--batch-size", "greater than or equal to 1"]),
    "batch size larger than the data": (
        lambda p: [npz(p / "d.npz"), "--batch-size", 500], ["--batch-size 500", "larger than the training set (29 "]
    ),
    "batch size larger than the data, from a file": (
        lambda p: [npz(p / "d.npz"), "--config", toml(p / "my.toml", "batch_size = 500")],
        ["my.toml: batch_size = 500", "larger than the training set"],
    ),
    "learning rate 0": (lambda p: ["--learning-rate", 0], ["--learning-rate", "greater than 0"]),
    "learning rate negative": (lambda p: ["--learning-rate", -0.1], ["--learning-rate", "greater than 0"]),
    "learning rate nan": (lambda p: ["--learning-rate", "nan"], ["--learning-rate", "finite"]),
    "learning rate inf": (lambda p: ["--learning-rate", "inf"], ["--learning-rate", "finite"]),
    "learning rate no number": (lambda p: ["--learning-rate", "fast"], ["--learning-rate", "valid number"]),
    "epochs and max steps": (lambda p: ["--epochs", 3, "--max-steps", 9], ["epochs", "max_steps", "one of the two"]),
    "more steps than can be counted": (lambda p: ["--max-steps", 10**30], ["--max-steps"]),
    "more threads than there can be": (lambda p: ["--threads", 100_000], ["--threads", "1024"]),
    "model misspelt": (lambda p: ["--model", "softmaks"], ["--model softmaks", "Did you mean 'softmax'?"]),
    "preset misspelt": (lambda p: ["--preset", "tutorail"], ["--preset tutorail", "Did you mean 'tutorial'?"]),
    "optimizer misspelt": (lambda p: ["--optimizer", "adamm"], ["--optimizer adamm", "Did you mean 'adam'?"]),
    "activation misspelt": (lambda p: ["--activation", "rleu"], ["--activation rleu", "Did you mean 'relu'?"]),
    "schedule misspelt": (lambda p: ["--schedule", "cosin"], ["--schedule cosin", "Did you mean 'cosine'?"]),
    "flag misspelt": (lambda p: ["--batchsize", 9], ["--batchsize", "--batch-size"]),
    "preset of another model": (
        lambda p: ["--preset", "tutorial-softmax", "--model", "fc"],
        ["--preset tutorial-softmax", "--model fc", "Presets of fc: ", "default", "tutorial."],
    ),
    "preset that only other models have": (
        lambda p: ["--preset", "tutorial", "--model", "cnn"], ["--preset tutorial", "model cnn", "Known: ", "default"]
    ),
    "setting of another model": (
        lambda p: ["--model", "cnn", "--hidden-units", 9], ["--hidden-units", "the cnn model has no such setting"]
    ),
    "channels that are no numbers": (lambda p: ["--channels", "64,wide"], ["--channels 64,wide", "valid integer"]),
    "channels without a number between commas": (lambda p: ["--channels", "8,,8"], ["--channels 8,,8", "integer"]),
    "parts that do not divide the batch": (
        lambda p: ["--accumulate", 7, "--batch-size", 20], ["--accumulate", "7 parts do not divide a batch of 20"]
    ),
    "more parts than images": (
        lambda p: [npz(p / "d.npz"), "--accumulate", 50], ["--accumulate 50", "images in the training set (29)"]
    ),
    "augmentation policy misspelt": (lambda p: ["--augment", "strnog"], ["--augment strnog", "Did you mean 'strong'?"]),
    "augmentation that is unknown": (
        lambda p: ["--config", toml(p / "my.toml", "[augmentation]\nshfit = 1")],
        ["my.toml: augmentation.shfit", "unknown", "Did you mean 'shift'?"],
    ),
    "augmentation out of range": (
        lambda p: ["--config", toml(p / "my.toml", "[augmentation]\nhue = 0.7")],
        ["my.toml: augmentation.hue = 0.7", "less than or equal to 0.5"],
    ),
    "augmentation that is no table": (
        lambda p: ["--config", toml(p / "my.toml", 'augmentation = "strong"')],
        ['my.toml: augmentation = "strong"', "table of settings"],
    ),
    "shift as large as the images": (
        lambda p: [npz(p / "d.npz"), "--config", toml(p / "my.toml", "augmentation.shift = 4")],
        ["my.toml: augmentation.shift = 4", "4 × 4 × 1", "at most 3"],
    ),
    "colour jitter on grey images": (
        lambda p: ["digits", "--config", toml(p / "my.toml", "augmentation.saturation = 0.4")],
        ["my.toml: augmentation.saturation = 0.4", "8 × 8 × 1", "grey"],
    ),
    "teacher without a name": (lambda p: ["--teacher", ""], ["--teacher", "at least 1 character"]),
    "validation no whole number": (lambda p: ["--validation", 10.5], ["validation = 10.5", "whole"]),
    "validation larger than the data": (lambda p: [npz(p / "d.npz"), "--validation", 500], ["500", "leaves none"]),
    "settings file with an unknown key": (
        lambda p: ["--config", toml(p / "my.toml", "bach_size = 3")],
        ["my.toml: bach_size", "unknown", "Did you mean 'batch_size'?"],
    ),
    "settings file with a value of the wrong type": (
        lambda p: ["--config", toml(p / "my.toml", 'learning_rate = "0.1"')],
        ['my.toml: learning_rate = "0.1"', "valid number"],
    ),
    "settings file with a value out of range": (
        lambda p: ["--config", toml(p / "my.toml", "dropout = 1.0")], ["my.toml: dropout = 1.0", "less than 1"]
    ),
    "settings file with a model misspelt": (
        lambda p: ["--config", toml(p / "my.toml", 'model = "fcc"')], ['my.toml: model = "fcc"', "Did you mean 'fc'?"]
    ),
    "settings file with a number for the preset": (
        lambda p: ["--config", toml(p / "my.toml", "preset = 5")], ["my.toml: preset = 5", "valid string"]
    ),
    "settings file that is no TOML": (lambda p: ["--config", toml(p / "my.toml", "lr: 3")], ["my.toml", "TOML"]),
    "settings file that is not in UTF-8": (
        lambda p: ["--config", toml(p / "my.toml", b"data = '\xff'")], ["my.toml", "TOML", "utf-8"]
    ),
    "settings file nested without end": (
        lambda p: ["--config", toml(p / "my.toml", "a = " + "[" * 9999)], ["my.toml", "TOML"]
    ),
    "settings file with an endless number": (
        lambda p: ["--config", toml(p / "my.toml", "seed = " + "1" * 9999)], ["my.toml", "TOML"]
    ),
    "settings file with an endless text": (
        lambda p: ["--config", toml(p / "my.toml", f'model = "{"x" * 9999}"')], ["my.toml: model", "…"]
    ),
    "settings file that is not there": (lambda p: ["--config", p / "my.toml"], ["my.toml", "No such file"]),
    "settings file that is a directory": (lambda p: ["--config", p], ["Is a directory"]),
}  # fmt: skip

RUNS = {
    "run directory that exists": (lambda p: ["train", "--run-dir", p], ["exists already", "another directory"]),
    "run directory below a file": (
        lambda p: ["train", npz(p / "d.npz"), "--quiet", "--run-dir", p / "d.npz" / "run"],
        ["cannot be made", "Not a directory"],
    ),
    "resume of what is not there": (lambda p: ["train", "--resume", p / "no"], ["no such directory"]),
    "resume of a directory that is no run": (lambda p: ["train", "--resume", p], ["not the directory of a run"]),
    "resume of a name too long": (lambda p: ["train", "--resume", "a" * 300], ["a" * 300]),
    "resume of a run with an unknown setting": (
        lambda p: ["train", "--resume", begun_run(p / "run", "epochs = 3\nepoch = 3\n")],
        ["settings.toml: epoch", "Did you mean 'epochs'?"],
    ),
    "resume of a run with damaged data.json": (
        lambda p: ["train", "--resume", begun_run(p / "run", "epochs = 3\n")], ["data.json", "damaged"]
    ),
    "resume with another run directory": (
        lambda p: ["train", "--resume", p, "--run-dir", p / "other"], ["--run-dir", "--resume"]
    ),
    "evaluate of what is not there": (lambda p: ["evaluate", p / "no"], ["no such directory"]),
    "evaluate of a file": (lambda p: ["evaluate", toml(p / "f", "")], ["not the directory of a run"]),
    "evaluate of a part of a run": (
        lambda p: ["evaluate", begun_run(p / "run", "epochs = 3\n") / "model"], ["no such directory"]
    ),
    "evaluate of an unknown split": (
        lambda p: ["evaluate", begun_run(p / "run", "epochs = 3\n"), "--split", "tset"], ["Did you mean 'test'?"]
    ),
    "plot of a directory that is no run": (lambda p: ["plot", p], ["metrics.csv", "directory of a run"]),
    "tensorboard of what is not there": (lambda p: ["tensorboard", p / "no"], ["no such directory"]),
    "predict without pictures": (lambda p: ["predict", p], ["images"]),
    "predict with no picture that can be read": (
        lambda p: ["predict", classifier(p / "model"), toml(p / "words.jpg", "no picture")],
        ["words.jpg", "no picture that can be read"],
    ),
    "predict with a truncated JPEG": (
        lambda p: ["predict", classifier(p / "model"), truncated(p / "cut.jpg")], ["cut.jpg", "truncated JPEG", "700"]
    ),
    "a command misspelt": (lambda p: ["trian"], ["trian", "train"]),
}  # fmt: skip

ROWS = {
    **{name: (lambda p, make=make: ["train", make(p)], words) for name, (make, words) in DATA.items()},
    **{name: (lambda p, make=make: ["train", *make(p)], words) for name, (make, words) in SETTINGS.items()},
    **RUNS,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda name: name.replace(" ", "-"))
def test_bad_input_is_one_short_message_and_exit_code_2_and_leaves_no_run(row, process, tmp_path):
    make, words = ROWS[row]
    given = tmp_path / "given"
    given.mkdir()
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    arguments = make(given)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = process(*arguments, cwd=workplace)
    assert code == 2, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert len(err.replace(str(tmp_path), "")) < LONGEST
    assert [word for word in words if word not in err] == [], err
    assert sorted(tmp_path.rglob("*")) == before
