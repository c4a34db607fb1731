"""Random images of the sizes and channels that matter."""

from collections.abc import Callable

import numpy as np
import pytest

SHAPES = [(32, 32, 3), (28, 28, 1), (7, 5, 3), (8, 8, 1), (2, 9, 1), (1, 1, 3)]


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def image_shape(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return request.param


@pytest.fixture(scope="session")
def random_images() -> Callable[..., np.ndarray]:
    """Uint8 images; the first black, the second white."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        images = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        images[:1], images[1:2] = 0, 255
        return images

    return make
