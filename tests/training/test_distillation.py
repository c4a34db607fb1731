"""Learning from a teacher: the loss against NumPy, the teacher on the same images, and runs that keep their teacher."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.backend import tf
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, SettingsError
from eyebright.models.network import model_weights
from eyebright.settings import Settings
from eyebright.training.distillation import Teacher, distillation_loss
from eyebright.training.objective import Objective, balanced_class_weights, cross_entropy
from eyebright.training.trainer import resume, train


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def numpy_loss(own, theirs, temperature):
    p, q = log_softmax(theirs / temperature), log_softmax(own / temperature)
    return temperature**2 * (np.exp(p) * (p - q)).sum(axis=1).mean()


def some_logits(seed, batch=6, classes=4, scale=3.0):
    return scale * np.random.default_rng(seed).normal(size=(batch, classes))


@given(st.integers(0, 2**32), st.floats(0.1, 20), st.sampled_from([0.1, 3, 50]))
def test_the_loss_is_the_divergence_at_the_temperature(seed, temperature, scale):
    own, theirs = some_logits(seed, scale=scale), some_logits(seed + 1, scale=scale)
    found = float(distillation_loss(tf.constant(own), tf.constant(theirs), temperature))
    assert found == pytest.approx(numpy_loss(own, theirs, temperature), rel=1e-6, abs=1e-9)
    assert found >= 0


def test_a_student_that_says_the_same_loses_nothing():
    logits = tf.constant(some_logits(0))
    assert float(distillation_loss(logits, logits + 7.0, 3.0)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 8.0])
def test_the_gradient_is_that_of_finite_differences(temperature):
    own, theirs, small = some_logits(0), some_logits(1), 1e-6
    student = tf.constant(own)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = distillation_loss(student, tf.constant(theirs), temperature)
    gradient = tape.gradient(loss, student).numpy()
    for place in np.ndindex(own.shape):
        moved = [own.copy(), own.copy()]
        moved[0][place] += small
        moved[1][place] -= small
        difference = numpy_loss(moved[0], theirs, temperature) - numpy_loss(moved[1], theirs, temperature)
        assert gradient[place] == pytest.approx(difference / (2 * small), abs=1e-7)
    # And in closed form: T · (softmax(student/T) - softmax(teacher/T)) / images.
    expected = np.exp(log_softmax(own / temperature)) - np.exp(log_softmax(theirs / temperature))
    assert gradient == pytest.approx(temperature * expected / len(own))


def test_the_size_of_the_gradient_hardly_depends_on_a_high_temperature():
    own, theirs = tf.constant(some_logits(0)), tf.constant(some_logits(1))
    norms = []
    for temperature in (20.0, 200.0):
        with tf.GradientTape() as tape:
            tape.watch(own)
            loss = distillation_loss(own, theirs, temperature)
        norms.append(np.linalg.norm(tape.gradient(loss, own)))
    assert norms[0] == pytest.approx(norms[1], rel=0.1)


def objective(weight, teacher, **given):
    settings = Settings(epochs=1, distillation_weight=weight, distillation_temperature=3.0, **given)
    return Objective(settings, np.array([0, 1, 2, 3, 3], np.int32), 4, teacher)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_objective_is_the_teachers_share_and_the_labels_rest(weight):
    own, theirs, targets = some_logits(0), some_logits(1), np.eye(4)[[0, 1, 2, 3, 0, 1]]
    chosen = objective(weight, lambda _: tf.constant(theirs), class_weights="balanced", label_smoothing=0.1)
    found = chosen(None, None, tf.constant(own), tf.constant(targets))
    weights = balanced_class_weights(np.array([0, 1, 2, 3, 3], np.int32), 4)  # of the labels' share alone
    of_labels = float(cross_entropy(tf.constant(own), tf.constant(targets), 0.1, weights))
    assert float(found) == pytest.approx((1 - weight) * of_labels + weight * numpy_loss(own, theirs, 3.0))


@pytest.fixture(scope="module")
def teacher(make_run):
    return make_run(optimizer="adam", learning_rate=0.01, epochs=10, preprocessing="per-channel", hidden_units=16)


def test_with_a_weight_of_1_labels_count_for_nothing(teacher, dataset, make_settings, make_training):
    shuffled = replace(dataset, labels=dataset.labels[::-1].copy())
    function = Teacher(teacher.classifier, "float32")
    given = {"distillation_weight": 1.0, "augment": "light"}
    weights = []
    for data in (dataset, shuffled):
        training = make_training(data, function, **given)
        training.train(0, 12)
        weights.append({name: value.tobytes() for name, value in model_weights(training.model).items()})
    assert weights[0] == weights[1]
    training = make_training(shuffled, function, **{**given, "distillation_weight": 0.9})
    training.train(0, 12)
    assert {name: value.tobytes() for name, value in model_weights(training.model).items()} != weights[0]


def test_the_teacher_sees_the_images_that_the_student_sees(teacher, make_training):
    """One step of plain gradient descent with a weight of 1, against the loss of the augmented batch."""
    classifier = teacher.classifier
    training = make_training(
        teacher=Teacher(classifier, "float32"), distillation_weight=1.0, augment="strong", precision="float32"
    )
    steps = training.plan.steps(np.arange(1))
    seen = training.engine.example_images(steps)
    records = training.engine.train(steps)
    temperature = training.settings.distillation_temperature
    expected = numpy_loss(records.logits.astype(np.float64), classifier.logits(seen).astype(np.float64), temperature)
    assert records.losses[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_the_teachers_logits_are_those_of_its_classifier_and_its_weights_stay(
    precision, teacher, dataset, make_training
):
    classifier = teacher.classifier
    function = Teacher(classifier, precision)
    found = function(dataset.images)
    expected = classifier.logits(dataset.images)
    tolerance = 0.05 if precision == "bfloat16" else 1e-4
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    training = make_training(teacher=function, precision=precision, batch_norm=True)
    training.train(0, 5, rate=0.1)
    assert (function(dataset.images).numpy() == found.numpy()).all()


def test_a_student_learns_from_its_teacher_alone(teacher, dataset, make_settings, tmp_path):
    settings = make_settings(
        teacher=str(teacher.path), distillation_weight=1.0, optimizer="adam", learning_rate=0.01, epochs=10,
        preprocessing="per-channel", seed=1,
    )  # fmt: skip
    run = train(settings, dataset, tmp_path / "run")
    assert run.results["test_accuracy"] > 0.9
    assert Classifier.load(run.path / "teacher").weights_sha256 == teacher.results["weights_sha256"]


@pytest.fixture
def own_teacher(teacher, tmp_path):
    """A copy that may go."""
    return shutil.copytree(teacher.path / "model", tmp_path / "teacher")


@pytest.mark.parametrize("step", [0, 15])
def test_a_run_goes_on_to_the_same_bits_after_its_teacher_was_deleted(
    step, own_teacher, dataset, make_settings, go_back, tmp_path
):
    settings = make_settings(teacher=str(own_teacher), keep_checkpoints=20, augment="light")
    expected = train(settings, dataset, tmp_path / "expected")
    directory = go_back(expected, tmp_path / "run", step)
    shutil.rmtree(own_teacher)
    assert resume(directory, dataset).results["weights_sha256"] == expected.results["weights_sha256"]


def test_a_run_that_was_killed_before_it_kept_its_teacher_goes_on_from_the_original(
    own_teacher, dataset, make_settings, go_back, tmp_path
):
    expected = train(make_settings(teacher=str(own_teacher)), dataset, tmp_path / "expected")
    directory = go_back(expected, tmp_path / "run", 0)
    shutil.rmtree(directory / "teacher")
    kept = shutil.copytree(own_teacher, tmp_path / "kept")
    shutil.rmtree(own_teacher)
    with pytest.raises(ClassifierError, match=f"{own_teacher}: there is no such file or directory"):
        resume(directory, dataset)
    kept.rename(own_teacher)
    assert resume(directory, dataset).results["weights_sha256"] == expected.results["weights_sha256"]


def test_a_damaged_copy_of_the_teacher_is_an_error_that_names_it(
    own_teacher, dataset, make_settings, go_back, flip_bit, tmp_path
):
    directory = go_back(train(make_settings(teacher=str(own_teacher)), dataset, tmp_path / "one"), tmp_path / "run", 10)
    flip_bit(directory / "teacher" / "weights.npz", 5000)
    with pytest.raises(ClassifierError, match=f"{directory / 'teacher' / 'weights.npz'}: damaged"):
        resume(directory, dataset)


def other_classes(dataset, *names):
    return replace(dataset, class_names=names)


def wider(dataset):
    images = np.concatenate([dataset.images, dataset.images], axis=2)
    return Dataset(images, dataset.labels, dataset.class_names, "wide", dataset.splits)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: other_classes(data, "dark", "gray", "bright"), "class 1 is 'grey' there and 'gray' in shades"),
        (lambda data: other_classes(data, "dark", "bright", "grey"), "class 1 is 'grey' there and 'bright' in shades"),
        (lambda data: other_classes(data, "dark", "grey", "bright", "white"), "it knows 3 of them, shades has 4"),
        (wider, "it sees images of 8 × 8 × 1 (height × width × channels), and those of wide are 8 × 16 × 1"),
    ],
    ids=["other-names", "other-order", "more-classes", "other-size"],
)
def test_a_teacher_of_other_classes_or_images_is_refused_before_anything_is_made(
    change, expected, teacher, dataset, make_settings, tmp_path
):
    with pytest.raises(SettingsError) as error:
        train(make_settings(teacher=str(teacher.path)), change(dataset), tmp_path / "run")
    assert str(error.value).startswith(f"--teacher {teacher.path}: ")
    assert expected in str(error.value)
    assert error.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_teacher_that_is_not_there_is_refused_before_anything_is_made(dataset, make_settings, tmp_path):
    with pytest.raises(ClassifierError, match="missing: there is no such file or directory"):
        train(make_settings(teacher=str(tmp_path / "missing")), dataset, tmp_path / "run")
    assert not list(tmp_path.iterdir())
