"""How replicas are spread; `tests/serving/test_ray.py` asks them."""

import pytest

from eyebright.cluster.serving import threads_of_a_replica
from eyebright.errors import SettingsError


def test_replicas_share_the_processors_of_the_smallest_machine():
    assert [threads_of_a_replica([4, 8], most) for most in (1, 2, 3, 8, 12)] == [4, 4, 2, 1, 1]


def test_more_replicas_than_processors_are_refused():
    with pytest.raises(
        SettingsError, match=r"--workers or --max-workers 13: give at most 12, the cluster's processors"
    ):
        threads_of_a_replica([4, 8], 13)
