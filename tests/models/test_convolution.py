import numpy as np
import pytest

from eyebright.backend import keras, tf
from eyebright.models.convolution import Convolution

RNG = np.random.default_rng(3)


def gradients(layer, maps, upstream):
    with tf.GradientTape() as tape:
        tape.watch(maps)
        answer = layer(maps)
        loss = tf.reduce_sum(tf.cast(answer, "float32") * upstream)
    return answer, *tape.gradient(loss, [maps, layer.kernel.value])


@pytest.mark.parametrize("shape", [(7, 7), (3, 5), (1, 1), (8, 2), (12, 9)])
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float32"])
def test_it_is_keras_s_convolution_and_so_are_its_gradients(shape, dtype):
    maps = tf.constant(RNG.normal(size=(6, *shape, 5)), "float32")
    upstream = tf.constant(RNG.normal(size=(6, *shape, 4)), "float32")
    layer = Convolution(4, 3, use_bias=False, dtype=dtype)
    plain = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, dtype="float32")
    layer.build(maps.shape)
    plain.build(maps.shape)
    plain.kernel.assign(layer.kernel)
    exact = 2e-2 if dtype == "mixed_bfloat16" else 1e-5
    for found, expected in zip(gradients(layer, maps, upstream), gradients(plain, maps, upstream), strict=True):
        difference = np.abs(tf.cast(found, "float32") - expected).max()
        assert difference <= exact * np.abs(expected).max()
