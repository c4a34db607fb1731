"""What every model promises, whichever it is: a new name in MODELS inherits each of these tests."""

from typing import get_args

import numpy as np
import pytest

from eyebright import Dataset, preset_settings, train
from eyebright.backend import available_threads, keras, set_threads, tf
from eyebright.classifier import Classifier
from eyebright.models import MODELS, Architecture, build_model, measure
from eyebright.models.inference import compiled_logits
from eyebright.models.network import load_weights, model_weights
from eyebright.presets import preset_names
from eyebright.settings import UNUSED_BY_MODEL, Preprocessing, Settings

CLASSES = 5
# Networks of Keras's, which measure nothing of the training images.
SCALED = {"transfer"}
SHAPES = [(8, 8, 1), (28, 28, 1), (16, 12, 3)]
# Every model, and those whose preprocessing has a matrix of its own.
KINDS = {name: (name, "per-channel") for name in MODELS if name != "transfer"} | {
    "fc-whitening": ("fc", "whitening"), "softmax-compact": ("softmax", "compact-whitening"),
    "transfer": ("transfer", None), "transfer-cnn": ("transfer", "per-channel"),
}  # fmt: skip
OUTPUT_DTYPE = {"float32": np.float32, "bfloat16": np.float32, "float64": np.float64}
# Settings that a model may have, none at its default. Each model gets those that it does not refuse.
OPTIONS = {
    "layers": 2, "hidden_units": 16, "activation": "silu", "batch_norm": True, "dropout": 0.5, "channels": (8, 12),
}  # fmt: skip
MEASURED = ("standardize/", "image_whitening/", "whiten/kernel")  # the weights that are no parameters to train

every_kind = pytest.mark.parametrize("kind", KINDS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
every_precision = pytest.mark.parametrize("precision", OUTPUT_DTYPE)


@pytest.fixture(scope="module", autouse=True)
def _same_bits_each_time():
    set_threads(available_threads())


def architecture_of(kind, shape, preprocessing=None):
    model, own = KINDS[kind]
    options = {key: value for key, value in OPTIONS.items() if key not in UNUSED_BY_MODEL.get(model, ())}
    if model == "transfer":
        settings = Settings(epochs=1, model=model, **options)
        return Architecture.of(settings, shape, CLASSES, architecture_of("cnn", shape) if own else None)
    settings = Settings(epochs=1, model=model, preprocessing=preprocessing or own, **options)
    return Architecture.of(settings, shape, CLASSES)


def pictures(shape, count=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def build(kind, shape, precision="float32", seed=0):
    """A model that has measured some images."""
    model = build_model(architecture_of(kind, shape), precision, seed)
    measure(model, pictures(shape), np.arange(12))
    return model


def disturb(model, seed=0):
    """Move every weight somewhat, as a training does."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if not weight.path.startswith(MEASURED):
            weight.assign(weight.numpy() + 0.1 * generator.random(weight.shape))
    return model


def logits_of(model, images):
    return compiled_logits(model)(images, np.arange(len(images)))


@every_kind
@every_shape
@every_precision
def test_uint8_images_become_logits_of_the_outputs_type(kind, shape, precision):
    model = build(kind, shape, precision)
    assert model.input.dtype == "uint8"
    assert model.output.shape == (None, CLASSES)
    logits = logits_of(model, pictures(shape, 3))
    assert (logits.shape, logits.dtype) == ((3, CLASSES), OUTPUT_DTYPE[precision])
    assert np.isfinite(logits).all()


@every_kind
@every_shape
@every_precision
def test_initial_weights_come_from_the_seed_alone(kind, shape, precision):
    weights = model_weights(build_model(architecture_of(kind, shape), "float32", seed=7))
    keras.utils.set_random_seed(99)  # a generator of the backend's, or a precision, changes nothing
    again = model_weights(build_model(architecture_of(kind, shape), precision, seed=7))
    assert weights.keys() == again.keys()
    for path, values in weights.items():
        assert (again[path].astype(np.float32) == values).all(), path
    other = model_weights(build_model(architecture_of(kind, shape), precision, seed=8))
    drawn = [path for path, values in weights.items() if len(np.unique(values)) > 2]
    assert all((other[path] != weights[path]).any() for path in drawn)


@every_kind
@every_precision
def test_weights_are_kept_in_float32_whatever_the_products_are_computed_in(kind, precision):
    expected = np.float64 if precision == "float64" else np.float32
    assert {weights.dtype for weights in model_weights(build(kind, SHAPES[0], precision)).values()} <= {
        np.dtype(expected), np.dtype(np.float32),
    }  # fmt: skip


@every_kind
@every_shape
def test_weights_by_name_are_all_that_a_model_is(kind, shape):
    model = disturb(build(kind, shape))
    weights = model_weights(model)
    assert len(weights) == len(model.weights)
    other = build(kind, shape, seed=1)
    load_weights(other, weights)
    assert (logits_of(other, pictures(shape)) == logits_of(model, pictures(shape))).all()


@every_kind
@every_shape
def test_what_is_measured_is_a_part_of_the_model_and_is_no_parameter_to_train(kind, shape):
    model = build(kind, shape)
    trained = {variable.path for variable in model.trainable_variables}
    measured = [weight for weight in model.weights if weight.path.startswith(MEASURED)]
    if kind in SCALED:
        assert not measured
        return
    assert measured
    assert not trained & {weight.path for weight in measured}
    standardize = model.get_layer("standardize")
    axes = (0, 1, 2) if standardize.method == "per-channel" else 0
    mean = pictures(shape).astype(float).mean(axis=axes)
    np.testing.assert_allclose(standardize.mean.numpy(), mean, rtol=1e-6)
    infer = compiled_logits(disturb(model))
    before = infer(pictures(shape), np.arange(12))
    for weight in measured:
        kept = weight.numpy()
        weight.assign(kept + 20)
        assert np.abs(infer(pictures(shape), np.arange(12)) - before).max() > 1e-3, weight.path
        weight.assign(kept)


@every_kind
@pytest.mark.parametrize("trained_in", ["float32", "bfloat16"])
def test_a_classifier_computes_in_float32_whatever_it_was_trained_in(kind, trained_in):
    shape = SHAPES[0]
    trained = disturb(build(kind, shape, trained_in))
    exact = build(kind, shape, "float64")
    load_weights(exact, model_weights(trained))
    names = tuple("abcde")
    logits = Classifier(architecture_of(kind, shape), names, model_weights(trained)).logits(pictures(shape))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, logits_of(exact, pictures(shape)), rtol=1e-4, atol=1e-4)  # bfloat16: 1e-2


@every_kind
@every_shape
def test_features_are_what_the_last_layer_makes_logits_of(kind, shape):
    weights = model_weights(disturb(build(kind, shape)))
    classifier = Classifier(architecture_of(kind, shape), tuple("abcde"), weights)
    features = classifier.features(pictures(shape))
    assert (features.dtype, features.shape) == (np.float32, (12, len(weights["logits/kernel"])))
    logits = features @ weights["logits/kernel"] + weights.get("logits/bias", 0)
    expected = classifier.logits(pictures(shape))
    scale = 1 / 9 if kind == "cnn" else 1
    np.testing.assert_allclose(scale * logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    chosen = np.array([7, 2])
    np.testing.assert_allclose(classifier.features(pictures(shape), chosen), features[chosen], rtol=1e-4, atol=1e-4)
    assert classifier.features(pictures(shape), chosen[:0]).shape == (0, features.shape[1])


@every_kind
@every_precision
def test_inference_has_neither_dropout_nor_statistics_of_the_batch(kind, precision):
    shape = SHAPES[0]
    model = disturb(build(kind, shape, precision))
    images, all_of_them, infer = pictures(shape), np.arange(12), compiled_logits(model)
    logits = infer(images, all_of_them)
    assert (infer(images, all_of_them) == logits).all()
    alone = np.concatenate([infer(images, all_of_them[i : i + 1]) for i in range(12)])
    np.testing.assert_allclose(alone, logits, rtol=1e-3, atol=2e-2 if precision == "bfloat16" else 1e-3)
    for weight in model.non_trainable_variables:  # the running statistics, where it has any, are what is used
        if "moving_mean" in weight.path:
            weight.assign(weight.numpy() + 3)
            assert np.abs(infer(images, all_of_them) - logits).max() > 1e-2
    for variable in model.variables:  # nothing was counted up or averaged on the way
        assert np.isfinite(variable.numpy()).all()


@every_kind
def test_inference_changes_no_variable(kind):
    model = disturb(build(kind, SHAPES[0]))
    before = [variable.numpy() for variable in model.variables]
    logits_of(model, pictures(SHAPES[0]))
    assert all((variable.numpy() == old).all() for variable, old in zip(model.variables, before, strict=True))


@every_kind
@every_precision
def test_every_trainable_weight_has_a_finite_gradient(kind, precision):
    model = disturb(build(kind, SHAPES[0], precision))
    with tf.GradientTape() as tape:
        logits = model(pictures(SHAPES[0]), training=True)
        loss = tf.reduce_mean(tf.square(logits - 1.0))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient.numpy()).all(), variable.path
        assert np.abs(gradient.numpy()).max() > 0, variable.path


@pytest.mark.parametrize(
    ("kind", "preprocessing"),
    [
        (name, preprocessing)
        for name in MODELS
        for preprocessing in (get_args(Preprocessing) if name != "transfer" else (None,))
        if name != "cnn" or "whitening" not in preprocessing
    ],
)
def test_a_saved_classifier_gives_the_models_logits(kind, preprocessing, tmp_path):
    architecture = architecture_of(kind, SHAPES[0], preprocessing)
    model = disturb(build_model(architecture, "float32", 0))
    measure(model, pictures(SHAPES[0]), np.arange(12))
    Classifier(architecture, tuple("abcde"), model_weights(model)).save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    assert loaded.architecture == architecture
    assert (loaded.logits(pictures(SHAPES[0])) == logits_of(model, pictures(SHAPES[0]))).all()


@pytest.mark.parametrize(
    ("model", "preset"),
    [
        (model, preset)
        for model, presets in preset_names().items()
        for preset in presets
        if preset in ("default", "tutorial")
    ],
)
def test_it_learns_what_is_easy(model, preset, tmp_path):
    labels = np.arange(300, dtype=np.int32) % 3
    images = np.random.default_rng(0).integers(0, 156, (300, 6, 6, 1), np.uint8)
    for label, band in enumerate((slice(0, 2), slice(2, 4), slice(4, 6))):
        images[labels == label, band] += 100
    dataset = Dataset(images, labels, ("high", "middle", "low"), "bands")
    smaller = {"cnn": {"channels": (8, 8)}, "fc": {"learning_rate": 1e-3}, "softmax": {"learning_rate": 1e-3}}
    if model == "transfer":  # from a network that knows the same images; those of ImageNet would be downloaded
        cnn = preset_settings("default", model="cnn", batch_size=20, epochs=2, precision="float32", **smaller["cnn"])
        smaller["transfer"] = {"weights": str(train(cnn, dataset, tmp_path / "cnn").path)}
    settings = preset_settings(preset, model=model, batch_size=20, epochs=15, precision="float32", **smaller[model])
    run = train(settings, dataset, tmp_path / "run")
    assert run.results["test_accuracy"] > 0.9
