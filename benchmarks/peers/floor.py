"""The floor: nothing but the two large matrix products of each step, x·W1 and xᵀ·dH, in one compiled loop.

Nothing that trains this network with this library and precision can be faster. The machine's peak, by a large square
product, stands beside it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import task
import tensorflow as tf

SQUARE = 2048


@tf.function
def products(steps: Any, x: Any, w: Any) -> Any:
    """Repeat w ← xᵀ(x·w): each product needs the one before it, so that none can be moved out of the loop."""
    for _ in tf.range(steps):
        hidden = x @ w  # [400, 120]
        w = tf.matmul(x, hidden, transpose_a=True)  # [3072, 120]
    return w


def seconds(function: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    function(*arguments)[0, 0].numpy()  # waits for the result
    return time.perf_counter() - started


def floor_seconds(steps: int, dtype: tf.DType, seed: int) -> float:
    """Seconds for all steps; the rows of x are orthonormal, so that w neither grows nor fades."""
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.standard_normal((task.PIXELS, task.BATCH_SIZE)))
    x = tf.constant(q.T, dtype)  # [400, 3072]
    w = tf.constant(generator.standard_normal((task.PIXELS, task.HIDDEN_UNITS)), dtype)
    seconds(products, tf.constant(1), x, w)  # compiles
    tenth = seconds(products, tf.constant(steps // 10), x, w)
    whole = seconds(products, tf.constant(steps), x, w)
    if whole < 5 * tenth:
        raise SystemExit(f"floor: {steps} steps took {whole:.3f} s and a tenth of them {tenth:.3f} s: work was skipped")
    return whole


def peak_gflops(dtype: tf.DType) -> float:
    """The best of ten large square products."""
    square = tf.random.normal([SQUARE, SQUARE], seed=0)
    square = tf.cast(square, dtype)
    return 2 * SQUARE**3 / min(seconds(tf.matmul, square, square) for _ in range(10)) / 1e9


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--steps", type=int, default=2000)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments = flags.parse_args()
    dtype = tf.as_dtype(arguments.precision)
    train_seconds = floor_seconds(arguments.steps, dtype, arguments.seed)
    task.report(train_seconds, peak_gflops=peak_gflops(dtype))


if __name__ == "__main__":
    main()
