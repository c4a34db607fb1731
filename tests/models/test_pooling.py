"""Pooling on JAX against Keras's own, in a process that computes there."""

import os
import subprocess
import sys

import numpy as np
import pytest

from eyebright.models.pooling import HalvingMaxPooling


@pytest.mark.parametrize("side", [4, 5])
def test_it_takes_the_largest_of_four(side):
    maps = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    found = np.asarray(HalvingMaxPooling()(maps))
    whole = maps[:, :4, :4].reshape(2, 2, 2, 2, 2, 3)
    np.testing.assert_array_equal(found, whole.max(axis=(2, 4)))


def test_on_jax_values_and_gradients_are_those_of_keras():
    pytest.importorskip("jax", reason="the extra jax is not installed")
    code = """
import numpy as np
from eyebright.backend import jax, keras
from eyebright.models.pooling import HalvingMaxPooling

# Whole numbers of which many are equal: of equal ones the first has the gradient.
maps = np.random.default_rng(0).integers(0, 3, (4, 7, 6, 5)).astype(np.float32)
upstream = np.random.default_rng(1).normal(size=(4, 3, 3, 5)).astype(np.float32)
for layer in (HalvingMaxPooling(), keras.layers.MaxPooling2D(2)):
    values, gradient = jax.vjp(layer, maps)
    print(np.asarray(values).tolist(), np.asarray(gradient(upstream)[0]).tolist())
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    ours, theirs = done.stdout.splitlines()
    assert ours == theirs
