from typing import get_args

import numpy as np
import pytest

from eyebright.settings import Optimizer
from eyebright.training.checkpoint import Checkpoints, TrainingState, checkpoint_name


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_every_optimizer_changes_every_weight_and_goes_on_exactly_from_a_checkpoint(
    name, make_training, weights_of, tmp_path
):
    settings = {"optimizer": name, "weight_decay": 0.01, "clip_norm": 1.0}
    training, checkpoints = make_training(**settings), Checkpoints(tmp_path, keep=2)
    initial = weights_of(training.model)
    training.train(0, 3, rate=0.01)
    assert all((value != initial[path]).any() for path, value in weights_of(training.model).items())
    checkpoints.save(TrainingState(step=3), training.engine.variables)
    training.train(3, 6, rate=0.01)

    resumed = make_training(**settings)
    for variable in resumed.engine.variables.values():  # every one of them must come from the checkpoint
        variable.assign(np.ones(variable.shape, variable.dtype))
    checkpoints.restore(checkpoint_name(3), resumed.engine.variables)
    resumed.train(3, 6, rate=0.01)
    expected = training.engine.variables
    for name, variable in resumed.engine.variables.items():
        assert variable.numpy().tobytes() == expected[name].numpy().tobytes(), name


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_shrinks_matrices_by_its_share_and_leaves_biases_and_scales_alone(name, make_training, weights_of):
    rate, decay = 0.01, 0.5
    plain, decayed = (make_training(optimizer=name, batch_norm=True, weight_decay=share) for share in (0.0, decay))
    initial = weights_of(plain.model)
    for training in (plain, decayed):
        training.train(0, 1, rate)
    expected = weights_of(plain.model)
    for path, value in weights_of(decayed.model).items():
        shrunk = rate * decay * initial[path] if value.ndim > 1 else 0.0
        assert value == pytest.approx(expected[path] - shrunk, abs=1e-6), path


def test_under_muon_only_the_last_layer_decays_as_the_others_are_scaled_to_a_norm(make_training, weights_of):
    plain, decayed = (make_training(optimizer="muon", weight_decay=share) for share in (0.0, 0.5))
    initial = weights_of(plain.model)
    for training in (plain, decayed):
        training.train(0, 1, 0.01)
    expected = weights_of(plain.model)
    expected["logits/kernel"] = expected["logits/kernel"] - 0.01 * 0.5 * initial["logits/kernel"]
    for path, value in weights_of(decayed.model).items():
        assert value == pytest.approx(expected[path], abs=1e-5), path


@pytest.mark.parametrize("averaging", ["none", "ema"])
def test_l1_moves_the_first_matrix_towards_zero_by_rate_times_l1_and_leaves_the_others_alone(
    averaging, make_training, weights_of
):
    plain, sparse = (make_training(l1=l1, layers=2, averaging=averaging) for l1 in (0.0, 0.5))
    for training in (plain, sparse):
        training.train(0, 1, 0.1)
    expected = weights_of(plain.model)
    first = expected["hidden_1/kernel"]
    expected["hidden_1/kernel"] = np.sign(first) * np.maximum(np.abs(first) - 0.1 * 0.5, 0)
    found = weights_of(sparse.model)
    for path, value in found.items():
        assert value == pytest.approx(expected[path], abs=1e-6), path
    assert 0.05 < (found["hidden_1/kernel"] == 0).mean() < 0.95


def test_clip_norm_bounds_the_gradient_as_a_whole_and_keeps_its_direction(make_training, weights_of):
    def change(**settings):
        training = make_training(**settings)
        before = weights_of(training.model)
        training.train(0, 1, rate=0.001)
        after = weights_of(training.model)
        return np.concatenate([(after[path] - before[path]).ravel() for path in before]) / 0.001

    gradient, clipped = change(), change(clip_norm=0.25)
    norm = np.linalg.norm(gradient)
    assert norm > 1
    assert np.linalg.norm(clipped) == pytest.approx(0.25, rel=1e-2)
    assert clipped / 0.25 == pytest.approx(gradient / norm, abs=1e-2)
    assert change(clip_norm=1e6).tobytes() == gradient.tobytes()


def test_momentum_is_that_of_nesterov(make_training, weights_of):
    """Against the rule itself, with gradients that plain SGD shows: it moves by -rate · gradient."""
    rate, momentum = 0.001, 0.8
    training = make_training(optimizer="momentum", momentum=momentum)
    velocity = {path: np.zeros_like(value) for path, value in weights_of(training.model).items()}
    for step in range(3):
        before = weights_of(training.model)
        plain = make_training()
        for variable in plain.model.trainable_variables:
            variable.assign(before[variable.path])
        plain.train(step, step + 1, rate)
        training.train(step, step + 1, rate)
        for path, value in weights_of(training.model).items():
            descent = weights_of(plain.model)[path] - before[path]
            velocity[path] = momentum * velocity[path] + descent
            assert value - before[path] == pytest.approx(momentum * velocity[path] + descent, abs=1e-6), path


def test_l1_leaves_a_first_layer_that_is_frozen_and_those_after_it_alone(make_training):
    training = make_training(l1=10.0, freeze=("hidden_1",), optimizer="sgd", learning_rate=0.01, l2=0.0)
    training.engine.train(training.plan.steps(np.arange(3)))
    assert np.count_nonzero(training.engine.model.get_layer("hidden_1").kernel.numpy())
    assert np.count_nonzero(training.engine.model.get_layer("logits").kernel.numpy())
