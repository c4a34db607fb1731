"""Averages of the weights against the rules written again in NumPy, over the steps of real trainings."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.classifier import Classifier
from eyebright.models import Architecture
from eyebright.models.network import model_weights
from eyebright.settings import Settings
from eyebright.training.averaging import averaging_decays
from eyebright.training.checkpoint import Checkpoints, checkpoint_name
from eyebright.training.trainer import train

KINDS = [
    {"averaging": "ema", "averaging_decay": 0.6},
    {"averaging": "ema", "averaging_decay": 0.9, "averaging_steps": 3},
    {"averaging": "swa", "averaging_start": 0.5},
    {"averaging": "swa", "averaging_start": 0.0, "averaging_steps": 2},
    {"averaging": "look-ahead", "averaging_decay": 0.8, "averaging_steps": 4},
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))


def decays(steps, total=100, **given):
    return averaging_decays(Settings(epochs=1, **given), np.asarray(steps), total).tolist()


def test_an_ema_keeps_its_decay_and_less_in_the_beginning():
    found = decays(range(200), averaging="ema", averaging_decay=0.9)
    assert found[:3] == pytest.approx([1 / 10, 2 / 11, 3 / 12])
    assert found[80:] == pytest.approx([0.9] * 120)
    assert all(before <= after for before, after in pairwise(found))


def test_swa_is_the_weights_themselves_and_then_their_plain_mean():
    """Folding the decays into weights: each of the last quarter counts as much as the others, none before."""
    share = np.zeros(100)
    for step, decay in enumerate(decays(range(100), averaging="swa", averaging_start=0.75)):
        share *= decay
        share[step] += 1 - decay
    assert share == pytest.approx(np.where(np.arange(100) >= 75, 1 / 25, 0), abs=1e-6)


def test_look_ahead_keeps_more_and_more():
    found = decays([0, 49, 99], averaging="look-ahead", averaging_decay=0.8, averaging_steps=1)
    assert found == pytest.approx([0.8e-6, 0.1, 0.8])


def test_between_two_updates_the_average_stays():
    for kind in KINDS:
        found = np.array(decays(range(60), **{**kind, "averaging_steps": 7}))
        due = (np.arange(60) + 1) % 7 == 0
        assert (found[due] < 1).all()
        assert (found[~due & (np.arange(60) >= 7)] == 1).all()


def test_without_averaging_nothing_is_kept(make_training):
    assert decays(range(5)) == [1] * 5
    assert not [name for name in make_training().engine.variables if name.startswith("average/")]


@given(st.sampled_from(KINDS), st.integers(1, 9), st.integers(1, 300), st.lists(st.integers(0, 299), max_size=20))
def test_what_is_kept_depends_on_the_step_alone(kind, every, total, steps):
    settings = {**kind, "averaging_steps": every}
    steps = [step % total for step in steps]
    together = decays(steps, total, **settings)
    assert together == [decay for step in steps for decay in decays([step], total, **settings)]
    assert all(0 <= decay <= 1 for decay in together)


def averaged(training):
    """The average's own values, by the names of the weights."""
    prefix = "average/"
    variables = training.engine.variables
    return {name.removeprefix(prefix): variable.numpy() for name, variable in variables.items() if prefix in name}


@every_kind
def test_the_average_is_that_of_the_rule(kind, make_training):
    """A training of its own shows the weights after each step; what look-ahead puts back is put into it, too."""
    settings = {"batch_norm": True, "optimizer": "momentum", "max_steps": 12, "precision": "float64"}
    training, plain = make_training(**settings, **kind), make_training(**settings)
    training.train(0, 12, rate=0.002)
    names = averaged(training).keys()
    assert names == {weight.path for weight in plain.model.weights if not weight.path.startswith("standardize/")}
    weights = {weight.path: weight for weight in plain.model.weights if weight.path in names}
    average = {name: weight.numpy() for name, weight in weights.items()}
    given_decays = decays(range(12), 12, **kind)
    for step, decay in enumerate(given_decays):
        plain.train(step, step + 1, rate=0.002)
        for name, weight in weights.items():
            average[name] = decay * average[name] + (1 - decay) * weight.numpy()
            if kind["averaging"] == "look-ahead" and decay < 1:
                weight.assign(average[name])
    for name, value in averaged(training).items():
        assert value == pytest.approx(average[name], rel=1e-6, abs=1e-9), name
        own = dict(training.engine.variables)[f"model/{name}"].numpy()
        assert own == pytest.approx(weights[name].numpy(), rel=1e-6, abs=1e-9), name
    if kind["averaging"] != "look-ahead":
        assert any(np.abs(averaged(training)[name] - weights[name].numpy()).max() > 1e-5 for name in names)


@every_kind
def test_until_the_first_update_the_average_is_the_weights_themselves(kind, make_training):
    """And not the random ones that a training begins with."""
    training = make_training(**{**kind, "averaging_steps": 50})
    training.train(0, 12, rate=0.01)
    for name, value in averaged(training).items():
        assert value == pytest.approx(model_weights(training.model)[name], rel=1e-6, abs=1e-9), name


def test_for_as_long_as_it_is_in_place_the_model_has_the_average_and_then_its_own_weights_to_the_bit(make_training):
    training = make_training(averaging="ema", batch_norm=True)
    training.train(0, 9, rate=0.01)
    own, average = model_weights(training.model), averaged(training)
    assert any((own[name] != value).any() for name, value in average.items())

    def there():
        return {name: value.tobytes() for name, value in model_weights(training.model).items()}

    before = there()
    with training.engine.final_weights():
        assert all((model_weights(training.model)[name] == value).all() for name, value in average.items())
    assert there() == before
    with pytest.raises(RuntimeError, match="in the midst"), training.engine.final_weights():
        raise RuntimeError("in the midst")
    assert there() == before
    training.engine.logits(np.arange(20))
    assert there() == before


def test_frozen_weights_have_no_average(make_training):
    training = make_training(averaging="ema", batch_norm=True, freeze=("hidden_1", "batch_norm_1"))
    assert averaged(training).keys() == {"logits/kernel", "logits/bias"}


@pytest.fixture(scope="module", params=KINDS[::2], ids=lambda kind: kind["averaging"])
def run(request, make_run):
    settings = {"batch_norm": True, "optimizer": "momentum", "learning_rate": 0.02, "keep_checkpoints": 50}
    return make_run(**request.param, **settings)


def test_the_average_is_what_is_validated_and_saved(run, dataset, read_figures):
    classifier = Classifier.load(run.path)
    validation = dataset.splits["validation"]
    accuracy = (classifier.predict(dataset.images[validation]).argmax(axis=1) == dataset.labels[validation]).mean()
    (last,) = [row for row in read_figures(run.path) if row["validation_accuracy"]][-1:]
    assert float(last["validation_accuracy"]) == run.results["validation_accuracy"] == accuracy
    logits = classifier.logits(dataset.images[validation]).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(20), dataset.labels[validation]]).mean()
    assert float(last["validation_loss"]) == pytest.approx(loss, rel=1e-3)


def test_the_classifier_of_a_checkpoint_is_of_the_average(run, make_settings, dataset):
    """The last checkpoint's is the one that the run saved, but that the run's is folded."""
    settings = Settings(**{**make_settings().to_dict(), "batch_norm": True})
    architecture = Architecture.of(settings, dataset.image_shape, 3)
    checkpoints = Checkpoints(run.path / "checkpoints", 50)
    last, earlier = (
        checkpoints.load_classifier(checkpoint_name(step), architecture, dataset.class_names) for step in (30, 20)
    )
    saved = Classifier.load(run.path).logits(dataset.images)
    assert last.logits(dataset.images) == pytest.approx(saved, rel=1e-3, abs=1e-3)
    assert np.abs(earlier.logits(dataset.images) - saved).max() > 0.01
    _, arrays = checkpoints._read(checkpoint_name(30))  # look-ahead updates after 28 steps: 30 is past it
    own = [arrays[name.replace("average/", "model/")] for name in arrays if name.startswith("average/")]
    averages = [array for name, array in arrays.items() if name.startswith("average/")]
    assert any(np.abs(one - other).max() > 1e-4 for one, other in zip(own, averages, strict=True))


def test_the_average_begins_with_what_was_measured_and_not_with_what_was_there_before(dataset, make_settings, tmp_path):
    """The first weights of local units are known only once the images have been measured: their norm is 1."""
    settings = make_settings(averaging="ema", initialization="local", max_steps=1, learning_rate=1e-9)
    run = train(settings, dataset, tmp_path / "run")
    norms = np.linalg.norm(Classifier.load(run.path).weights["hidden_1/kernel"], axis=0)
    assert norms == pytest.approx(np.ones(8), rel=1e-4)


def test_look_ahead_and_ema_have_decays_and_intervals_of_their_own():
    assert decays([3, 4, 99], averaging="look-ahead") == [0.0, pytest.approx(0.774 * 0.05**3), pytest.approx(0.774)]
    assert decays([10**6 - 1], total=10**6, averaging="ema") == [pytest.approx(0.999)]
