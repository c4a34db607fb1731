import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eyebright.prediction import ImageAnswers
from eyebright.serving.batching import Batcher, QueueFullError
from eyebright.serving.options import Batching


class Machine:
    """Computes, slowly where it is told to, and remembers how many at once."""

    def __init__(self):
        self.sizes = []
        self.go = threading.Event()
        self.go.set()

    def compute(self, images):
        self.go.wait(10)
        if images.max() == 255:
            raise ValueError("255")
        return ImageAnswers(images.reshape(len(images), -1)[:, :1].astype(float), None, None)

    def batcher(self, pool, **options):
        return Batcher(self.compute, pool, Batching(**options), self.sizes.append)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def image(value):
    return np.full((2, 2, 1), value, np.uint8)


def values(answers):
    return [float(answer.probabilities[0]) for answer in answers]


def test_images_that_come_together_are_computed_together_and_each_gets_its_own_answer(pool):
    machine = Machine()

    async def ask():
        batcher = machine.batcher(pool, max_batch=4, max_wait_seconds=5)
        return await asyncio.gather(*(batcher.answer(image(number)) for number in range(8)))

    assert values(asyncio.run(ask())) == list(range(8))
    assert machine.sizes == [4, 4]


def test_while_one_batch_is_computed_the_next_gathers(pool):
    machine = Machine()

    async def ask():
        batcher = machine.batcher(pool, max_batch=16, max_wait_seconds=0)
        machine.go.clear()
        first = asyncio.ensure_future(batcher.answer(image(100)))
        await asyncio.sleep(0.1)
        others = [asyncio.ensure_future(batcher.answer(image(number))) for number in range(6)]
        await asyncio.sleep(0.1)
        machine.go.set()
        return await asyncio.gather(first, *others)

    assert values(asyncio.run(ask())) == [100, *range(6)]
    assert machine.sizes == [1, 6]


def test_who_stops_waiting_is_not_computed(pool):
    machine = Machine()

    async def ask():
        batcher = machine.batcher(pool, max_batch=16, max_wait_seconds=0)
        machine.go.clear()
        first = asyncio.ensure_future(batcher.answer(image(0)))
        await asyncio.sleep(0.1)
        gone = asyncio.ensure_future(batcher.answer(image(255)))  # would fail the batch
        stays = asyncio.ensure_future(batcher.answer(image(2)))
        await asyncio.sleep(0.1)
        gone.cancel()
        machine.go.set()
        return await asyncio.gather(first, stays)

    assert values(asyncio.run(ask())) == [0, 2]
    assert machine.sizes == [1, 1]


def test_a_failure_is_told_to_all_of_its_batch_and_the_next_goes_on(pool):
    machine = Machine()

    async def ask():
        batcher = machine.batcher(pool, max_batch=2, max_wait_seconds=1)
        failed = await asyncio.gather(*(batcher.answer(image(v)) for v in (255, 1)), return_exceptions=True)
        return failed, await asyncio.gather(batcher.answer(image(3)), batcher.answer(image(4)))

    failed, after = asyncio.run(ask())
    assert [type(error) for error in failed] == [ValueError, ValueError]
    assert values(after) == [3, 4]


def test_places_are_bounded_and_given_back(pool):
    async def ask():
        batcher = Machine().batcher(pool, max_queue=3)
        with batcher.places(2):
            with pytest.raises(QueueFullError), batcher.places(2):
                pass
            with batcher.places(1):
                assert batcher.admitted == 3
        assert batcher.admitted == 0

    asyncio.run(ask())
