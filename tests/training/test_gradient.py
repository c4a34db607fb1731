from dataclasses import replace

import numpy as np
import pytest


def loss_at(training, step):
    """Of one batch at a step, with a rate of zero, so that nothing but the step's number changes."""
    steps = replace(training.plan.steps(np.zeros(1, np.int64)), numbers=np.array([step]))
    return training.engine.train(replace(steps, learning_rates=np.zeros(1, np.float32))).losses[0]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_dropout_depends_on_seed_and_step_alone(accumulate, make_training):
    training = make_training(dropout=0.5, accumulate=accumulate)
    losses = [loss_at(training, step) for step in (0, 1, 2, 1_000_000, 2**40)]
    assert len(set(losses)) == 5
    assert [loss_at(training, step) for step in (2**40, 1, 0)] == [losses[4], losses[1], losses[0]]
    other = make_training(dropout=0.5, accumulate=accumulate, seed=1)
    for ours, theirs in zip(other.model.weights, training.model.weights, strict=True):
        ours.assign(theirs)
    steps = training.plan.steps(np.zeros(1, np.int64))
    steps = replace(steps, learning_rates=np.zeros(1, np.float32))
    assert other.engine.train(steps).losses[0] != losses[0]


def test_dropout_layers_of_one_network_drop_other_units(make_training):
    training = make_training(dropout=0.5, layers=2)
    training.train(3, 4)
    states = [layer.seed_generator.state.numpy().tolist() for layer in training.model.layers if "dropout" in layer.name]
    assert len(states) == 2
    assert states[0] != states[1]


def parts_of(training):
    """The logits' rows of each part of a batch."""
    size = training.settings.batch_size // training.settings.accumulate
    return [slice(start, start + size) for start in range(0, training.settings.batch_size, size)]


@pytest.mark.parametrize(
    "given",
    [
        {"l2": 0.05, "label_smoothing": 0.1},
        {"augment": "strong"},  # partners of mixed images may be in another part
        {"class_weights": "balanced", "optimizer": "momentum", "clip_norm": 0.5},
    ],
    ids=lambda given: next(iter(given)),
)
@pytest.mark.parametrize("parts", [2, 10])
def test_a_batch_in_parts_is_the_same_step_as_in_one(given, parts, make_training, weights_of):
    """In float64, where another order of the sums moves only the last digits."""
    whole, cut = (make_training(**given, precision="float64", accumulate=count) for count in (1, parts))
    before = weights_of(whole.model)
    expected, records = (training.train(0, 4, rate=0.001) for training in (whole, cut))
    assert records.losses == pytest.approx(expected.losses, rel=1e-9)
    assert records.accuracies.tolist() == pytest.approx(expected.accuracies.tolist())
    assert records.logits == pytest.approx(expected.logits, rel=1e-6, abs=1e-9)
    for path, value in weights_of(cut.model).items():
        reference = weights_of(whole.model)[path]
        assert np.abs(reference - before[path]).max() > 1e-6
        assert value == pytest.approx(reference, rel=1e-8, abs=1e-10), path


def test_each_part_of_a_batch_drops_other_units(make_training):
    """Of one and the same image ten times the logits are the same where the same units were dropped."""
    training = make_training(dropout=0.5, accumulate=2, hidden_units=200)
    steps = training.plan.steps(np.arange(1))
    same = replace(steps, rows=np.zeros_like(steps.rows), learning_rates=np.zeros(1, np.float32))
    logits = training.engine.train(same).logits
    first, second = (logits[part] for part in parts_of(training))
    assert not (first == second).any()
