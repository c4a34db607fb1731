from dataclasses import replace

import numpy as np
import pytest

from eyebright.settings import Settings

# Everything that an engine keeps between steps, or that depends on a step's number, at once.
STATEFUL = {
    "dropout": 0.4, "batch_norm": True, "optimizer": "adamw", "clip_norm": 0.1, "averaging": "look-ahead",
    "averaging_steps": 2, "accumulate": 2, "augment": "strong", "schedule": "triangular", "class_weights": "balanced",
}  # fmt: skip


def run(training, cuts, rate=0.001):
    """Train some steps, cut into calls of these lengths; the records of each call."""
    ends = np.cumsum(cuts)
    return [training.train(end - length, end, rate) for length, end in zip(cuts, ends, strict=True)]


@pytest.mark.parametrize("settings", [{}, STATEFUL], ids=["plain", "stateful"])
def test_how_a_run_is_cut_into_calls_changes_no_bit(make_training, settings):
    trainings = [make_training(**settings) for _ in range(3)]
    records = [run(training, cuts) for training, cuts in zip(trainings, ([1] * 12, [12], [5, 1, 6]), strict=True)]
    losses = [np.concatenate([record.losses for record in cut]).tobytes() for cut in records]
    assert losses[0] == losses[1] == losses[2]
    expected = {name: variable.numpy() for name, variable in trainings[0].engine.variables.items()}
    for training in trainings[1:]:
        for name, variable in training.engine.variables.items():
            assert variable.numpy().tobytes() == expected[name].tobytes(), name
    assert records[0][-1].logits.tobytes() == records[1][-1].logits.tobytes()


def test_records_are_of_the_batch_before_its_step_changed_the_weights(make_training, dataset):
    training = make_training(l2=0.0)
    for step in range(2):
        batch = training.plan.steps(np.array([step])).rows[0].astype(np.int64)
        before = training.engine.logits(batch)
        records = training.train(step, step + 1, rate=0.01)
        assert records.logits == pytest.approx(before, abs=1e-4)
        assert records.accuracies[0] == np.float32((before.argmax(axis=1) == dataset.labels[batch]).mean())
    assert records.logits.dtype == records.losses.dtype == np.float32


def test_the_accuracy_of_mixed_images_is_by_the_larger_part_of_each(make_training):
    training = make_training(augment="strong")
    steps = training.plan.steps(np.arange(1))
    partner, share = steps.augmentation["partner"][0], steps.augmentation["share"][0]
    assert (share < 0.5).any()
    labels = training.engine.labels(steps.rows[0])
    height, width, _ = training.plan._image_shape
    top, left, bottom, right = steps.augmentation["patch"][0].T
    own = share * (1 - (bottom - top) * (right - left) / (height * width))
    expected = np.where(own > 0.5, labels, labels[partner])
    records = training.engine.train(steps)
    assert records.accuracies[0] == np.float32((records.logits.argmax(axis=1) == expected).mean())


def test_each_step_has_its_own_learning_rate(make_training, weights_of):
    training = make_training()
    two = training.plan.steps(np.arange(2))
    before = weights_of(training.model)
    training.engine.train(replace(two, learning_rates=np.zeros(2, np.float32)))
    assert all((value == before[name]).all() for name, value in weights_of(training.model).items())
    training.engine.train(replace(two, learning_rates=np.array([0, 0.01], np.float32)))
    assert all((value != before[name]).any() for name, value in weights_of(training.model).items())


@pytest.mark.parametrize("settings", [{}, STATEFUL], ids=["plain", "stateful"])
def test_the_steps_are_traced_once_whatever_the_length_of_a_call(settings, make_training):
    training = make_training(**settings)
    run(training, [1, 2, 4, 5])
    training.engine.graph()
    assert training.engine._compiled_steps.experimental_get_tracing_count() == 1


def test_logits_are_those_of_inference_and_change_nothing(make_training):
    training = make_training(**STATEFUL)
    run(training, [11])
    before = {name: variable.numpy().tobytes() for name, variable in training.engine.variables.items()}
    logits = training.engine.logits(np.arange(40))
    assert logits.tobytes() == training.engine.logits(np.arange(40)).tobytes()
    assert training.engine.logits(np.arange(39, -1, -1))[::-1] == pytest.approx(logits, abs=1e-5)
    assert {name: variable.numpy().tobytes() for name, variable in training.engine.variables.items()} == before


def test_batch_statistics_are_learnt_from_the_batches(make_training):
    training = make_training(batch_norm=True)
    run(training, [12])
    norm = training.model.get_layer("batch_norm_1")
    assert (norm.moving_mean.numpy() != 0).any()
    assert (norm.moving_variance.numpy() != 1).all()


def test_labels_are_those_of_the_data_set(make_training, dataset):
    chosen = np.array([3, 149, 0])
    assert np.array_equal(make_training().engine.labels(chosen), dataset.labels[chosen])


def test_example_images_are_a_batch_as_the_model_sees_it(make_training, dataset):
    plain, mirrored = (
        make_training(),
        make_training(augmentation=Settings.model_fields["augmentation"].annotation(flip="alternating")),
    )
    for training in (plain, mirrored):
        steps = training.plan.steps(np.arange(3))
        own = dataset.images[steps.rows[0]]
        seen = training.engine.example_images(steps)
        flipped = steps.augmentation.get("flip", np.zeros((3, 10), bool))[0].astype(bool)
        assert flipped.any() == (training is mirrored)
        assert np.array_equal(seen, np.where(flipped[:, None, None, None], own[:, :, ::-1], own))
