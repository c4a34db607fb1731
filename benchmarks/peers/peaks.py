"""The machine's peaks in TensorFlow: a large square matrix product, and a large 3×3 convolution forward."""

from __future__ import annotations

import argparse
import json

import floor
import tensorflow as tf

IMAGES, SIDE, CHANNELS = 128, 16, 256


@tf.function
def convolution(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(images, kernel, 1, "SAME")[0, 0]


def convolution_gflops(dtype: tf.DType) -> float:
    """The best of ten, of as many channels as make a matrix product of any library's liking."""
    images = tf.cast(tf.random.normal([IMAGES, SIDE, SIDE, CHANNELS], seed=0), dtype)
    kernel = tf.cast(tf.random.normal([3, 3, CHANNELS, CHANNELS], seed=0), dtype)
    flops = 2 * IMAGES * SIDE**2 * 9 * CHANNELS**2
    return flops / min(floor.seconds(convolution, images, kernel) for _ in range(10)) / 1e9


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    dtype = tf.as_dtype(flags.parse_args().precision)
    print(json.dumps({"product_gflops": floor.peak_gflops(dtype), "convolution_gflops": convolution_gflops(dtype)}))


if __name__ == "__main__":
    main()
