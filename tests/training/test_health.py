from dataclasses import replace

import numpy as np
import pytest

from eyebright.errors import TrainingError
from eyebright.training.checkpoint import Checkpoints, TrainingState
from eyebright.training.engine import StepRecords
from eyebright.training.health import check_losses, check_weights
from eyebright.training.plan import Steps
from eyebright.training.trainer import train


def records(*losses):
    return StepRecords(np.array(losses, np.float32), np.zeros(len(losses), np.float32), np.zeros((1, 3), np.float32))


def steps(numbers, rates):
    return Steps(np.array(numbers), np.zeros((len(numbers), 1), np.int32), np.array(rates, np.float32), None, {})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_loss_that_is_not_finite_is_named_with_its_rate_and_what_to_do(bad, tmp_path):
    three, checkpoints = steps([40, 41, 42], [0.1, 0.2, 0.4]), Checkpoints(tmp_path, keep=2)
    check_losses(records(1.0, 2.0, 1e30), three, checkpoints)
    with pytest.raises(
        TrainingError, match=rf"Step 41: the loss is {bad} \(learning rate 0\.2\)\. Train anew"
    ) as error:
        check_losses(records(1.0, bad, np.nan), three, checkpoints)
    assert "--learning-rate (for example 0.02) or with --clip-norm 1." in str(error.value)
    assert error.value.exit_code == 2


def test_the_last_good_checkpoint_is_named(make_training, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(TrainingState(step=20), make_training().engine.variables)
    with pytest.raises(TrainingError, match=r"The checkpoint of step 20 is kept\."):
        check_losses(records(np.nan), steps([25], [0.1]), checkpoints)


def test_weights_that_are_not_finite_are_named(make_training, tmp_path):
    training, checkpoints = make_training(batch_norm=True), Checkpoints(tmp_path, keep=2)
    check_weights(training.engine.variables, 7, 0.5, checkpoints)
    variance = training.model.get_layer("batch_norm_1").moving_variance
    variance.assign([1, 1, np.inf, 1, 1, 1, 1, 1])
    with pytest.raises(TrainingError, match=r"Step 7: batch_norm_1/moving_variance is not finite \(learning rate 0\.5"):
        check_weights(training.engine.variables, 7, 0.5, checkpoints)


def test_a_training_that_diverges_ends_with_its_good_checkpoints_and_without_results(dataset, make_settings, tmp_path):
    """The rate rises from nothing, so that the first steps are good ones."""
    settings = make_settings(learning_rate=1e5, warmup_steps=10**9, max_steps=1000, optimizer="momentum", l2=1000.0)
    with pytest.raises(
        TrainingError, match=r"Step \d+: the loss is (nan|inf)(.|\n)*The checkpoint of step \d+ is kept"
    ):
        train(settings, dataset, tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()
    kept = Checkpoints(tmp_path / "run" / "checkpoints", keep=3)
    for step in kept.steps():
        _, arrays = kept._read(f"step-{step}")
        assert all(np.isfinite(array).all() for array in arrays.values())


def test_weights_that_the_last_step_made_infinite_are_no_classifier(dataset, make_settings, tmp_path):
    with pytest.raises(TrainingError, match=r"Step 1: .* (is|are) not finite"):
        train(make_settings(learning_rate=3e38, max_steps=1), dataset, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(("validation", "which"), [(True, "validation"), (False, "test")])
def test_weights_so_large_that_logits_are_not_finite_are_no_classifier(
    validation, which, dataset, make_settings, tmp_path
):
    splits = {name: dataset.splits[name] for name in ("train", "test")}
    data = dataset if validation else replace(dataset, splits=splits)
    settings = make_settings(learning_rate=1e25, max_steps=1, validation=0)
    with pytest.raises(TrainingError, match=f"Step 1: the logits of the {which} images are not finite"):
        train(settings, data, tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "run" / "model").exists()
