from typing import get_args

import numpy as np
import pytest

from eyebright.settings import Optimizer
from eyebright.training.batches import batch_positions
from eyebright.training.checkpoint import Checkpoints, TrainingState, checkpoint_name


def train(engine, first, last, rate=0.01):
    steps = np.arange(first, last)
    return engine.train(batch_positions(0, steps, 100, 10), np.full(len(steps), rate, np.float32), first)


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_every_optimizer_changes_every_weight_and_goes_on_exactly_from_a_checkpoint(
    name, make_engine, weights_of, tmp_path
):
    settings = {"optimizer": name, "weight_decay": 0.01, "clip_norm": 1.0}
    engine, checkpoints = make_engine(**settings), Checkpoints(tmp_path, keep=2)
    initial = weights_of(engine.model)
    train(engine, 0, 3)
    assert all((value != initial[path]).any() for path, value in weights_of(engine.model).items())
    checkpoints.save(TrainingState(step=3), engine.model, engine.optimizer)
    train(engine, 3, 6)

    resumed = make_engine(**settings, seed=1)  # another seed: every weight must come from the checkpoint
    checkpoints.restore(checkpoint_name(3), resumed.model, resumed.optimizer)
    train(resumed, 3, 6)
    for path, value in weights_of(engine.model).items():
        assert weights_of(resumed.model)[path].tobytes() == value.tobytes(), path
    for ours, theirs in zip(resumed.optimizer.variables, engine.optimizer.variables, strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes(), theirs.path


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_weight_decay_shrinks_matrices_by_its_share_and_leaves_biases_and_scales_alone(name, make_engine, weights_of):
    rate, decay = 0.01, 0.5
    plain, decayed = (make_engine(optimizer=name, batch_norm=True, weight_decay=share) for share in (0.0, decay))
    initial = weights_of(plain.model)
    for engine in (plain, decayed):
        train(engine, 0, 1, rate)
    expected = weights_of(plain.model)
    for path, value in weights_of(decayed.model).items():
        shrunk = rate * decay * initial[path] if value.ndim > 1 else 0.0
        assert value == pytest.approx(expected[path] - shrunk, abs=1e-6), path


def test_clip_norm_bounds_the_gradient_as_a_whole_and_keeps_its_direction(make_engine, weights_of):
    def change(**settings):
        engine = make_engine(**settings)
        before = weights_of(engine.model)
        train(engine, 0, 1, rate=0.001)
        after = weights_of(engine.model)
        return np.concatenate([(after[path] - before[path]).ravel() for path in before]) / 0.001

    gradient, clipped = change(), change(clip_norm=0.25)
    norm = np.linalg.norm(gradient)
    assert norm > 1
    assert np.linalg.norm(clipped) == pytest.approx(0.25, rel=1e-2)
    assert clipped / 0.25 == pytest.approx(gradient / norm, abs=1e-2)
    assert change(clip_norm=1e6).tobytes() == gradient.tobytes()


def test_momentum_is_that_of_nesterov(make_engine, weights_of):
    """Against the rule itself, with gradients that plain SGD shows: it moves by -rate · gradient."""
    rate, momentum = 0.001, 0.8
    engine = make_engine(optimizer="momentum", momentum=momentum)
    velocity = {path: np.zeros_like(value) for path, value in weights_of(engine.model).items()}
    for step in range(3):
        before = weights_of(engine.model)
        plain = make_engine()
        for variable in plain.model.trainable_variables:
            variable.assign(before[variable.path])
        train(plain, step, step + 1, rate)
        train(engine, step, step + 1, rate)
        for path, value in weights_of(engine.model).items():
            descent = weights_of(plain.model)[path] - before[path]
            velocity[path] = momentum * velocity[path] + descent
            assert value - before[path] == pytest.approx(momentum * velocity[path] + descent, abs=1e-6), path
