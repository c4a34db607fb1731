import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright import storage
from eyebright.backend import keras, versions
from eyebright.errors import CheckpointError, StorageError
from eyebright.models import Architecture
from eyebright.training.checkpoint import (
    KIND,
    VERSION,
    Checkpoints,
    TrainingState,
    checkpoint_name,
    training_variables,
)

FILES = ("manifest.json", "state.json", "variables.npz")


def small_training(inputs=2, optimizer=keras.optimizers.Adam, averages=True):
    """The variables of a model, an optimizer and averages of its weights."""
    images = keras.Input((inputs,))
    model = keras.Model(images, keras.layers.Dense(3, name="logits")(images))
    trainer = optimizer()
    trainer.build(model.trainable_variables)
    averaged = {weight.path: keras.Variable(weight.numpy()) for weight in model.weights} if averages else {}
    return training_variables(model, trainer, averaged)


def filled(number):
    """The variables of a training, each of which holds the number."""
    variables = small_training()
    for variable in variables.values():
        variable.assign(np.full(variable.shape, number, variable.dtype))
    return variables


def numbers_in(variables):
    return {number for variable in variables.values() for number in variable.numpy().ravel().tolist()}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Checkpoints of steps 10, 20 and 30, in which every variable holds the step."""
    checkpoints = Checkpoints(tmp_path_factory.mktemp("pristine"), keep=5)
    for step in (10, 20, 30):
        checkpoints.save(TrainingState(step=step, train_seconds=step / 10), filled(step))
    return checkpoints.directory


@pytest.fixture
def checkpoints(pristine, tmp_path):
    shutil.copytree(pristine, tmp_path / "checkpoints")
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def restored_number(checkpoints):
    """What the newest checkpoint that verifies puts into every variable, its state, and the messages."""
    variables = small_training()
    state, damaged = checkpoints.restore_newest(variables)
    (number,) = numbers_in(variables)
    return number, state, damaged


def test_what_was_saved_is_restored_with_the_state(checkpoints):
    state = TrainingState(40, 1.25, 20, 0.1 + 0.2, 1 / 3, 2, True)
    checkpoints.save(state, filled(4))
    assert restored_number(checkpoints) == (4, state, [])


def test_without_any_checkpoint_a_training_begins(tmp_path):
    variables = filled(7)
    assert Checkpoints(tmp_path / "none", keep=2).restore_newest(variables) == (TrainingState(), [])
    assert numbers_in(variables) == {7}


@given(data=st.data())
@settings(max_examples=50)
def test_a_flipped_bit_anywhere_in_the_newest_is_named_and_the_one_before_used(
    data, pristine, tmp_path_factory, flip_bit
):
    file = data.draw(st.sampled_from(FILES))
    position = data.draw(st.integers(0, 8 * (pristine / "step-30" / file).stat().st_size - 1))
    directory = tmp_path_factory.mktemp("flipped") / "checkpoints"
    shutil.copytree(pristine, directory)
    flip_bit(directory / "step-30" / file, position)
    number, state, (message,) = restored_number(Checkpoints(directory, keep=2))
    assert (number, state.step) == (20, 20)
    assert str(directory / "step-30" / file) in message
    assert "damaged" in message
    shutil.rmtree(directory)


@given(share=st.floats(0, 1, exclude_max=True), file=st.sampled_from(FILES))
@settings(max_examples=50)
def test_a_truncated_file_is_named_and_the_one_before_used(share, file, pristine, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cut") / "checkpoints"
    shutil.copytree(pristine, directory)
    path = directory / "step-30" / file
    os.truncate(path, int(share * path.stat().st_size))
    number, state, (message,) = restored_number(Checkpoints(directory, keep=2))
    assert (number, state.step) == (20, 20)
    assert f"{path}: damaged" in message
    shutil.rmtree(directory)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named_and_the_one_before_used(file, checkpoints):
    (checkpoints.directory / "step-30" / file).unlink()
    number, _, (message,) = restored_number(checkpoints)
    assert number == 20
    assert message == f"Passed over: {checkpoints.directory / 'step-30' / file}: missing."


def test_an_empty_directory_is_passed_over(checkpoints):
    shutil.rmtree(checkpoints.directory / "step-30")
    (checkpoints.directory / "step-30").mkdir()
    assert restored_number(checkpoints)[0] == 20


def test_one_whose_manifest_was_made_to_fit_but_is_of_another_kind_is_passed_over(checkpoints):
    manifest = checkpoints.directory / "step-30" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_bytes()), "kind": "eyebright-classifier"}))
    assert restored_number(checkpoints)[0] == 20


def rewrite(directory, versions=None, **changed):
    """Write a checkpoint anew with some parts changed (state for state.json, …), its manifest in order."""
    parts = storage.read_directory(directory, kind=KIND, version=VERSION)
    names = {"state": "state.json", "variables": "variables.npz"}
    parts |= {names[name]: content for name, content in changed.items()}
    parts = {name: content for name, content in parts.items() if content is not None}
    storage.write_directory(directory, parts, kind=KIND, version=VERSION, versions=versions)


@pytest.mark.parametrize(
    "changed",
    [
        {"state": b'{"step": 30, "another": 1}'},
        {"state": b'{"step": "30"}'},
        {"state": b'{"step": 20}'},
        {"state": b"[]"},
        {"state": b"no JSON"},
        {"state": None},
        {"variables": b""},
        {"variables": b"no archive"},
        {"variables": b"PK\x03\x04"},
        {"variables": b"\x93NUMPY"},
        {"variables": None},
    ],
    ids=str,
)
def test_one_that_verifies_but_was_written_by_another_is_passed_over(changed, checkpoints):
    rewrite(checkpoints.directory / "step-30", **changed)
    number, _, (note,) = restored_number(checkpoints)
    assert number == 20
    assert note.startswith(f"Passed over: {checkpoints.directory / 'step-30'}: no valid checkpoint: ")


def test_the_versions_that_wrote_one_stand_in_its_manifest(checkpoints):
    manifest = json.loads((checkpoints.directory / "step-30" / "manifest.json").read_bytes())
    assert manifest["versions"] == versions()


@pytest.mark.parametrize("name", ["keras", "tensorflow"])
def test_one_of_another_keras_or_tensorflow_is_restored_with_a_word_about_it(name, checkpoints):
    rewrite(checkpoints.directory / "step-30", {**versions(), name: "1.2.3", "python": "3.0.0"})
    number, _, (note,) = restored_number(checkpoints)
    assert number == 30
    assert f"{checkpoints.directory / 'step-30'}: written with {name} 1.2.3, restored with {versions()[name]}" in note


@pytest.mark.parametrize("unknown", [None, {}, {"another": "1"}], ids=str)
def test_one_that_does_not_say_its_versions_is_restored(unknown, checkpoints):
    rewrite(checkpoints.directory / "step-30", unknown)
    assert restored_number(checkpoints)[::2] == (30, [])


def test_two_that_are_damaged_are_both_named(checkpoints):
    for step in (20, 30):
        (checkpoints.directory / f"step-{step}" / "state.json").unlink()
    number, _, damaged = restored_number(checkpoints)
    assert number == 10
    assert [f"step-{step}" in message for step, message in zip((30, 20), damaged, strict=True)] == [True, True]


def test_where_all_are_damaged_the_error_names_each(checkpoints, flip_bit):
    for step in (10, 20, 30):
        flip_bit(checkpoints.directory / f"step-{step}" / "variables.npz", 99)
    with pytest.raises(CheckpointError, match=r"step-30(.|\n)*step-20(.|\n)*step-10(.|\n)*Train anew") as error:
        checkpoints.restore_newest(small_training())
    assert error.value.exit_code == 2


def test_a_damaged_one_leaves_the_model_as_it_was(checkpoints, flip_bit):
    flip_bit(checkpoints.directory / "step-30" / "variables.npz", 4000)
    variables = filled(1)
    with pytest.raises(CheckpointError):
        checkpoints.restore("step-30", variables)
    assert numbers_in(variables) == {1}


def test_the_newest_are_kept_and_the_best(checkpoints):
    for step in (40, 50, 60):
        checkpoints.save(TrainingState(step=step, best_step=20), filled(step))
    assert checkpoints.steps() == [20, 50, 60]


def test_a_damaged_one_that_was_passed_over_is_not_kept_in_place_of_one_that_is_whole(checkpoints):
    """Where the steps of later checkpoints are others, as after an interrupt, the damaged one is not written over."""
    (checkpoints.directory / "step-30" / "state.json").unlink()
    checkpoints.save(TrainingState(step=25), filled(25))
    assert checkpoints.steps() == [20, 25]


def test_the_same_step_can_be_written_again(checkpoints):
    (checkpoints.directory / "step-30" / "state.json").unlink()
    checkpoints.save(TrainingState(step=30), filled(31))
    assert restored_number(checkpoints)[0] == 31


def test_one_that_is_being_written_does_not_count_and_is_cleared_away_by_the_next(checkpoints):
    for name in (".writing-step-40-123", ".replaced-step-30-123", "step-40.old", "step-"):
        shutil.copytree(checkpoints.directory / "step-30", checkpoints.directory / name)
    assert checkpoints.steps() == [10, 20, 30]
    checkpoints.save(TrainingState(step=40), filled(40))
    assert sorted(os.listdir(checkpoints.directory)) == ["step-", "step-30", "step-40", "step-40.old"]  # noqa: PTH208


def test_one_that_cannot_be_written_leaves_the_others_untouched(checkpoints):
    """The name under which it is written is taken by a file."""
    (checkpoints.directory / f".writing-step-40-{os.getpid()}").write_text("")
    with pytest.raises(StorageError, match="step-40: cannot be written"):
        checkpoints.save(TrainingState(step=40), filled(40))
    assert restored_number(checkpoints)[0] == 30


@pytest.mark.parametrize("name", ["step-11", "step-1x", "../checkpoints/step-10", ".", "newest"])
def test_a_name_that_is_none_is_refused_with_those_that_there_are(name, checkpoints):
    with pytest.raises(CheckpointError, match=r"no such checkpoint\. There are: step-10, step-20, step-30\."):
        checkpoints.restore(name, small_training())


@pytest.mark.parametrize(
    ("another", "differing"),
    [
        ({"inputs": 5}, "average/"),
        ({"inputs": 5, "averages": False}, "average/"),
        ({"averages": False}, "average/"),
        ({"optimizer": keras.optimizers.SGD}, "optimizer/"),
    ],
)
def test_one_of_another_model_optimizer_or_average_is_refused(another, differing, checkpoints):
    with pytest.raises(CheckpointError, match=f"not a checkpoint of this model and optimizer: {differing}"):
        checkpoints.restore("step-30", small_training(**another))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_classifier_of_a_checkpoint_is_the_model_that_was_saved(precision, make_training, tmp_path, dataset):
    training, checkpoints = make_training(precision=precision), Checkpoints(tmp_path, keep=2)
    checkpoints.save(TrainingState(step=5), training.engine.variables)
    architecture = Architecture.of(training.settings, dataset.image_shape, 3)
    classifier = checkpoints.load_classifier(checkpoint_name(5), architecture, dataset.class_names)
    assert classifier.class_names == dataset.class_names
    expected = training.engine.logits(np.arange(150))
    assert classifier.logits(dataset.images) == pytest.approx(expected, abs=1e-3)
    assert {path: array.dtype for path, array in classifier.weights.items()} == {
        weight.path: weight.dtype for weight in training.model.weights
    }
