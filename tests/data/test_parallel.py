import threading
import time

import pytest

from eyebright.data.parallel import in_threads


def test_results_come_in_the_order_of_their_tasks():
    assert list(in_threads(lambda n: (time.sleep(0.002 * (n % 3)), n)[1], range(40))) == list(range(40))


def test_an_error_is_raised_where_its_result_would_come_and_nothing_more_is_begun():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.001)
        return 1 / (number - 3)

    results = in_threads(work, range(10_000))
    assert [next(results) for _ in range(3)] == [-1 / 3, -1 / 2, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) < 1000
    assert not any("work" in thread.name for thread in threading.enumerate())
