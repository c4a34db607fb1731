"""What JAX compiles, in a process of its own: this one computes on TensorFlow."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("jax", reason="the extra jax is not installed")


def test_a_function_is_compiled_once_for_each_shape_and_the_time_is_counted():
    code = """
import numpy as np
from eyebright.compilation import Compiled, compile_seconds

traced = []

def double(values, offset):
    traced.append(values["a"].shape)
    return values["a"] * 2 + offset

compiled = Compiled(double)
assert compile_seconds() == 0
for length in (3, 4, 3, 4):
    result = compiled({"a": np.arange(length, dtype=np.float32)}, np.float32(1))
    np.testing.assert_array_equal(result, np.arange(length) * 2 + 1)
assert traced == [(3,), (4,)], traced
first = compile_seconds()
assert first > 0
compiled({"a": np.zeros(4, np.float32)}, np.float32(1))
assert compile_seconds() == first
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
