"""A folded network gives the logits of the network that was trained, in float64 and as a saved classifier."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.backend import keras
from eyebright.models import Architecture, build_model, measure
from eyebright.models.folding import fold
from eyebright.models.network import load_weights, model_weights

SHAPE = (10, 4, 3)


def architecture(model="fc", **options):
    defaults = {"image_shape": SHAPE, "classes": 4, "preprocessing": "per-channel"}
    if model == "fc":
        defaults |= {"hidden_units": 9, "batch_norm": True}
    return Architecture(model=model, **{**defaults, **options})


def trained(chosen, precision="float64", seed=0):
    """A model of this shape, and images, with weights as a training leaves them: nothing at its beginning."""
    random = np.random.default_rng(seed)
    images = np.clip(np.cumsum(random.integers(0, 80, (40, *chosen.image_shape)), axis=2), 0, 255).astype(np.uint8)
    model = build_model(chosen, precision, seed)
    measure(model, images, np.arange(40))
    for weight in model.weights:
        name = weight.path.rpartition("/")[2]
        if name == "moving_variance":
            weight.assign(0.1 + 5 * random.random(weight.shape))
        elif name in ("gamma", "beta", "moving_mean", "bias") or weight.path == "logits/kernel":
            weight.assign(random.normal(size=weight.shape))
    return model, images


def logits_of(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def folded_logits(chosen, model, images, precision):
    """Of the folded network, computed in this precision."""
    smaller, weights = fold(chosen, model_weights(model))
    network = build_model(smaller, precision)
    load_weights(network, weights)
    return logits_of(network, images)


PREPROCESSING = [
    {"preprocessing": "mean-image"},
    {"preprocessing": "per-channel"},
    {"preprocessing": "whitening", "whitening_epsilon": 0.05},
    {"preprocessing": "compact-whitening", "initialization": "local"},
]


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("preprocessing", PREPROCESSING, ids=lambda chosen: "-".join(map(str, chosen.values())))
def test_the_folded_network_gives_the_same_logits(preprocessing, layers, batch_norm):
    chosen = architecture(**preprocessing, layers=layers, batch_norm=batch_norm)
    model, images = trained(chosen)
    expected = logits_of(model, images)
    assert expected.std(axis=0).min() > 1e-3
    # Keras's batch normalisation rounds its ε to float32 in one of the two places, hence no closer.
    np.testing.assert_allclose(folded_logits(chosen, model, images, "float64"), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(folded_logits(chosen, model, images, "float32"), expected, rtol=1e-3, atol=1e-3)


@given(
    st.sampled_from(PREPROCESSING),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from(["relu", "gelu", "tanh"]),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3])),
    st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=12)
def test_whatever_the_network_is_its_folded_one_answers_the_same(
    preprocessing, layers, batch_norm, activation, shape, seed
):
    chosen = architecture(
        **preprocessing, layers=layers, batch_norm=batch_norm, activation=activation, image_shape=shape, dropout=0.3
    )
    model, images = trained(chosen, "float32", seed)
    expected = logits_of(model, images)
    answers = folded_logits(chosen, model, images, "float32")
    np.testing.assert_allclose(answers, expected, rtol=1e-2, atol=2e-3 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("preprocessing", ["whitening", "compact-whitening"])
def test_a_softmax_classifier_is_folded_into_its_one_matrix(preprocessing):
    chosen = architecture("softmax", preprocessing=preprocessing)
    model, images = trained(chosen)
    weights = fold(chosen, model_weights(model))[1]
    assert {name: array.shape for name, array in weights.items()} == {"logits/kernel": (120, 4), "logits/bias": (4,)}
    expected = logits_of(model, images)
    assert expected.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(folded_logits(chosen, model, images, "float64"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_left_is_a_matrix_and_a_bias_a_layer_and_nothing_else(layers):
    chosen = architecture(preprocessing="whitening", layers=layers)
    smaller, weights = fold(chosen, model_weights(trained(chosen)[0]))
    hidden = {f"hidden_{layer}/{part}" for layer in range(1, layers + 1) for part in ("kernel", "bias")}
    assert weights.keys() == hidden | {"logits/kernel", "logits/bias"}
    assert weights["hidden_1/kernel"].shape == (120, 9)
    assert (smaller.preprocessing, smaller.batch_norm) == ("none", False)
    assert smaller.model_copy(update={"preprocessing": "whitening", "batch_norm": True}) == chosen


@pytest.mark.parametrize(
    "chosen",
    [
        architecture("softmax"),
        architecture("cnn", channels=(4,)),
        architecture(batch_norm=False),
        architecture(batch_norm=False, preprocessing="mean-image"),
    ],
    ids=lambda chosen: f"{chosen.model}-{chosen.preprocessing}",
)
def test_a_network_with_nothing_to_fold_comes_back_as_it_is(chosen):
    weights = model_weights(build_model(chosen))
    smaller, same = fold(chosen, weights)
    assert smaller == chosen
    assert same is weights


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_weights_keep_their_type(precision):
    chosen = architecture(preprocessing="whitening")
    _, weights = fold(chosen, model_weights(trained(chosen, precision)[0]))
    assert {str(array.dtype) for array in weights.values()} == {precision}


def test_a_folded_network_is_not_folded_again():
    chosen = architecture(preprocessing="whitening")
    smaller, weights = fold(chosen, model_weights(trained(chosen)[0]))
    assert fold(smaller, weights) == (smaller, weights)
