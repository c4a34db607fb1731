"""Random images."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def random_images() -> Callable[..., np.ndarray]:
    """Uint8 images; the first black, the second white."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        images = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        images[:1], images[1:2] = 0, 255
        return images

    return make
