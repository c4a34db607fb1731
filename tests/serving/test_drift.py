import numpy as np
import pytest

from eyebright.serving.drift import stability_index


def test_the_same_shares_have_no_drift_and_others_have_more_the_further_they_are():
    reference = np.array([250, 250, 250, 250])
    values = [stability_index(np.array([100 + d, 100, 100, 100 - d]), reference) for d in (0, 20, 50, 100)]
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert values == sorted(values)
    assert values[1] < 0.1
    assert values[3] > 0.25
