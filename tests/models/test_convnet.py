import numpy as np
import pytest

from eyebright.backend import keras
from eyebright.models import Architecture, build_model, measure
from eyebright.models.convnet import IdentityUniform
from eyebright.models.inference import compiled_logits


def architecture(shape=(8, 8, 1), classes=10, **options):
    return Architecture(model="cnn", image_shape=shape, classes=classes, preprocessing="per-channel", **options)


def pictures(shape, count=4):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def sizes(model):
    """Height and width of the maps after the whitening and after each block."""
    names = [layer.name for layer in model.layers]
    ends = [name for name in names if name == "whiten" or name.endswith("activation_2")]
    return [model.get_layer(name).output.shape[1:3] for name in ends]


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [
        ((32, 32, 3), 10, [(31, 31), (15, 15), (7, 7), (3, 3)]),
        ((32, 32, 3), 100, [(31, 31), (15, 15), (7, 7), (3, 3)]),
        ((28, 28, 1), 10, [(27, 27), (13, 13), (6, 6), (3, 3)]),
        ((8, 8, 1), 10, [(7, 7), (3, 3), (3, 3), (3, 3)]),
        ((7, 5, 3), 2, [(6, 4), (3, 2), (3, 2), (3, 2)]),
        ((3, 40, 1), 2, [(2, 39), (2, 39), (2, 39), (2, 39)]),
        ((2, 9, 1), 2, [(1, 8), (1, 8), (1, 8), (1, 8)]),
        ((1, 1, 3), 2, [(1, 1), (1, 1), (1, 1), (1, 1)]),
    ],
    ids=str,
)
def test_images_of_every_size_go_through_the_same_network(shape, classes, expected):
    model = build_model(architecture(shape, classes, channels=(4, 8, 8)))
    images = pictures(shape)
    measure(model, images, np.arange(4))
    assert sizes(model) == expected
    logits = compiled_logits(model)(images, np.arange(4))
    assert logits.shape == (4, classes)
    assert np.isfinite(logits).all()


def test_by_default_it_is_the_network_of_the_paper():
    """Jordan 2024 counts 1.97 million weights; the third convolution of the last block has the rest."""
    model = build_model(architecture((32, 32, 3)))
    kernels = {weight.path: tuple(weight.shape) for weight in model.weights if len(weight.shape) > 1}
    assert kernels == {
        "whiten/kernel": (2, 2, 3, 24),
        "block_1_conv_1/kernel": (3, 3, 24, 64),
        "block_1_conv_2/kernel": (3, 3, 64, 64),
        "block_2_conv_1/kernel": (3, 3, 64, 256),
        "block_2_conv_2/kernel": (3, 3, 256, 256),
        "block_3_conv_1/kernel": (3, 3, 256, 256),
        "block_3_conv_2/kernel": (3, 3, 256, 256),
        "block_3_conv_3/kernel": (3, 3, 256, 256),
        "logits/kernel": (256, 10),
    }
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == 1_971_352 + 9 * 256**2 + 256


@pytest.mark.parametrize("channels", [(6,), (6, 10), (4, 4, 4, 4)])
def test_there_is_a_block_for_each_number_of_channels(channels):
    model = build_model(architecture(channels=channels))
    convolutions = [layer for layer in model.layers if "conv" in layer.name]
    assert [layer.filters for layer in convolutions] == [
        number for number in (*channels, channels[-1]) for _ in range(2)
    ][:-1]
    assert {layer.bias for layer in convolutions} == {None}


def test_the_whitening_filters_are_measured_and_not_trained():
    model = build_model(architecture((8, 8, 3), channels=(4,)))
    assert not model.get_layer("whiten").kernel.numpy().any()
    measure(model, pictures((8, 8, 3), 200), np.arange(200))
    assert model.get_layer("whiten").kernel.numpy().any()
    trained = {weight.path for weight in model.trainable_variables}
    assert "whiten/bias" in trained
    assert not trained & {"whiten/kernel", "standardize/mean", "standardize/standard_deviation"}


def test_the_first_filters_of_an_untrained_convolution_hand_on_a_channel_each():
    random = np.random.default_rng(0)
    maps = random.normal(size=(2, 6, 5, 3)).astype(np.float32)
    convolution = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, kernel_initializer=IdentityUniform(0, 1))
    answers = convolution(maps).numpy()
    np.testing.assert_array_equal(answers[..., :3], maps)
    assert np.abs(answers[..., 3:]).min(axis=(0, 1, 2)).max() > 0


@pytest.mark.parametrize("shape", [(3, 3, 5, 9), (3, 3, 9, 5), (1, 1, 4, 4), (2, 3, 7, 7)])
def test_the_other_weights_are_uniform_within_one_over_the_root_of_what_goes_in(shape):
    weights = IdentityUniform(3, 2)(shape)
    same = min(shape[2:])
    identity, drawn = weights[..., :same], weights[..., same:]
    assert (np.count_nonzero(identity, axis=(0, 1, 2)) == 1).all()
    assert identity.sum() == same
    assert (identity[shape[0] // 2, shape[1] // 2, np.arange(same), np.arange(same)] == 1).all()
    bound = 1 / np.sqrt(np.prod(shape[:3]))
    assert (np.abs(drawn) < bound).all()
    if drawn.size > 100:
        assert np.abs(drawn).max() > 0.95 * bound
        assert abs(drawn.mean()) < 0.1 * bound


def test_the_last_layer_has_no_identity_and_each_layer_its_own_numbers():
    model = build_model(architecture((8, 8, 3), classes=4, channels=(30, 30)), seed=1)
    last = model.get_layer("logits").kernel.numpy()
    assert (np.abs(last) < 1 / np.sqrt(30)).all()
    assert len(np.unique(last)) == last.size
    uniform = IdentityUniform(1, 1, identity=False)((3, 3, 30, 30))
    assert (IdentityUniform(1, 2, identity=False)((3, 3, 30, 30)) != uniform).all()
    assert (IdentityUniform(2, 1, identity=False)((3, 3, 30, 30)) != uniform).all()


def test_the_last_block_adds_a_third_convolution_to_its_maps():
    model = build_model(architecture((8, 8, 3), channels=(4, 6)), "float64")
    measure(model, pictures((8, 8, 3)), np.arange(4))
    names = ("block_2_activation_2", "block_2_norm_3", "block_2_activation_3")
    outputs = keras.Model(model.input, [model.get_layer(name).output for name in names])
    before, third, after = (np.asarray(maps) for maps in outputs(pictures((8, 8, 3)), training=False))
    assert np.abs(third).max() > 0
    np.testing.assert_allclose(after, np.maximum(before + third, 0))


def test_all_blocks_may_add_a_third_convolution_and_nothing_else_changes():
    last, every = (build_model(architecture((32, 32, 3), channels=(4, 4, 4), residuals=one)) for one in ("last", "all"))
    shared = {weight.path: weight.numpy() for weight in last.weights}
    more = {weight.path: weight.numpy() for weight in every.weights if weight.path not in shared}
    assert {path for path in more if path.endswith("kernel")} == {f"block_{i}_conv_3/kernel" for i in (1, 2)}
    for weight in every.weights:
        if weight.path in shared:
            np.testing.assert_array_equal(weight.numpy(), shared[weight.path])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_logits_are_a_ninth_of_the_last_layers_sums_over_the_largest_value_of_each_map(precision):
    model = build_model(architecture((8, 8, 3), classes=4, channels=(6,)), precision)
    measure(model, pictures((8, 8, 3)), np.arange(4))
    maps = keras.Model(model.input, model.get_layer("block_1_activation_3").output)
    images, every = pictures((8, 8, 3)), np.arange(4)
    largest = keras.ops.cast(maps(images, training=False), "float64").numpy().max(axis=(1, 2))  # [4, 6]
    expected = largest @ model.get_layer("logits").kernel.numpy() / 9
    logits = compiled_logits(model)(images, every)
    assert logits.dtype == ("float64" if precision == "float64" else "float32")
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_is_for_the_convolutions_alone():
    model = build_model(architecture((8, 8, 3), channels=(6,)), "bfloat16")
    assert {model.get_layer(name).compute_dtype for name in ("whiten", "block_1_conv_1", "block_1_norm_1")} == {
        "bfloat16"
    }
    assert {model.get_layer(name).compute_dtype for name in ("standardize", "logits", "scaled_logits")} == {"float32"}
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


def test_dropout_stands_before_the_last_layer_and_drops_in_training_alone():
    model = build_model(architecture((8, 8, 3), channels=(40,), dropout=0.5))
    images = pictures((8, 8, 3))
    measure(model, images, np.arange(4))
    head = keras.Model(model.get_layer("pool").output, model.output)
    features = np.ones((1, 40), np.float32)
    assert (head(features, training=False).numpy() == head(features, training=False).numpy()).all()
    assert (head(features, training=True).numpy() != head(features, training=True).numpy()).any()
