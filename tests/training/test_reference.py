"""The compiled training against the tutorial written again in NumPy, from its description and with none of Keras.

Shared are only what the two are given alike: the initial weights and which images make each step. The reference
computes in float64 throughout.

"Agree to 1e-8" means, for each of the four arrays of weights (their entries are about 0.02 to 0.1): no entry is more
than 1e-8 off, and neither is the whole, relative to its Euclidean norm; so for 1e-6. Training at the tutorial's rate
is chaotic: a rounding in float32 grows to a hundredth within 20 steps, hence 3 steps there.
"""

from pathlib import Path

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.loading import load_dataset
from eyebright.models import Architecture, build_model
from eyebright.settings import Settings
from eyebright.training.batches import batch_positions
from eyebright.training.trainer import train

HIDDEN, L2, RATE, BATCH = 120, 0.1, 0.001, 400


def numpy_training(images, labels, mean, weights, batches, rate):
    """The tutorial's table: 3072 → 120 ReLU → 10, mean cross-entropy + l2 · Σ ½‖W‖², plain SGD.

    Args:
        images: uint8 [N, 32, 32, 3].
        labels: int [N].
        mean: float [32, 32, 3], the mean image of the training set.
        weights: (W₁ [3072, 120], b₁ [120], W₂ [120, 10], b₂ [10]).
        batches: int [steps, B].
        rate: learning rate.

    Returns:
        The weights after the steps; of each step, before it changed the weights, the loss and the accuracy.
    """
    w1, b1, w2, b2 = (np.array(array, np.float64) for array in weights)
    losses, accuracies = [], []
    for batch in batches:
        x = images[batch].reshape(len(batch), -1).astype(np.float64) - mean.ravel()
        before_relu = x @ w1 + b1
        hidden = np.maximum(before_relu, 0)
        logits = hidden @ w2 + b2
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        right = (np.arange(len(batch)), labels[batch])
        losses.append(-log_p[right].mean() + L2 * 0.5 * ((w1**2).sum() + (w2**2).sum()))
        accuracies.append((logits.argmax(axis=1) == labels[batch]).mean())
        d_logits = np.exp(log_p)
        d_logits[right] -= 1
        d_logits /= len(batch)
        d_hidden = (d_logits @ w2.T) * (before_relu > 0)
        gradients = (
            x.T @ d_hidden + L2 * w1,
            d_hidden.sum(axis=0),
            hidden.T @ d_logits + L2 * w2,
            d_logits.sum(axis=0),
        )
        w1, b1, w2, b2 = (array - rate * gradient for array, gradient in zip((w1, b1, w2, b2), gradients, strict=True))
    return (w1, b1, w2, b2), np.array(losses), np.array(accuracies)


def random_data() -> Dataset:
    """Random pixels in CIFAR-10's shape: without structure, and as far from the mean image as pixels can be."""
    random = np.random.default_rng(2016)
    images = random.integers(0, 256, (2000, 32, 32, 3), np.uint8)
    labels = random.integers(0, 10, 2000).astype(np.int32)
    return Dataset(images, labels, tuple("0123456789"), "random", {"test": np.arange(1000, 2000)})


@pytest.fixture(scope="module", params=["random", "cifar10"])
def data(request) -> Dataset:
    return random_data() if request.param == "random" else load_dataset(str(request.getfixturevalue("cifar10_path")))


def arrays_of(weights) -> tuple[np.ndarray, ...]:
    return tuple(weights[name] for name in ("hidden_1/kernel", "hidden_1/bias", "logits/kernel", "logits/bias"))


@pytest.mark.parametrize(("precision", "steps", "tolerance"), [("float64", 20, 1e-8), ("float32", 3, 1e-6)])
def test_training_agrees_with_numpy(data: Dataset, precision, steps, tolerance, tmp_path: Path):
    settings = Settings(
        hidden_units=HIDDEN, l2=L2, learning_rate=RATE, batch_size=BATCH, max_steps=steps, validation=0,
        precision=precision, log_steps=2, seed=5,
    )  # fmt: skip
    training = np.setdiff1d(np.arange(len(data)), data.splits["test"])
    batches = training[batch_positions(settings.seed, np.arange(steps), len(training), BATCH)]
    initial = {
        weight.path: weight.numpy()
        for weight in build_model(Architecture.of(settings, (32, 32, 3), 10), precision, settings.seed).weights
    }
    mean = data.images[training].mean(axis=0, dtype=np.float64)
    rate = float(np.float32(RATE))  # the learning rate is a float32 in every precision
    expected, losses, accuracies = numpy_training(data.images, data.labels, mean, arrays_of(initial), batches, rate)

    run = train(settings, data, tmp_path / "run")

    trained = Classifier.load(run.path).weights
    assert trained["standardize/mean"] == pytest.approx(mean, rel=1e-6)
    for before, ours, reference in zip(arrays_of(initial), arrays_of(trained), expected, strict=True):
        assert ours.dtype == precision
        assert np.linalg.norm(reference - before) > 1000 * tolerance * np.linalg.norm(reference)  # they did change
        assert np.abs(ours - reference).max() <= tolerance
        assert np.linalg.norm(ours - reference) <= tolerance * np.linalg.norm(reference)
    rows = np.genfromtxt(run.path / "metrics.csv", delimiter=",", names=True)
    assert rows["step"].tolist() == list(range(0, steps, 2))
    assert rows["loss"] == pytest.approx(losses[::2], rel=tolerance)
    assert rows["train_accuracy"] == pytest.approx(accuracies[::2], abs=1e-7)
