from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.randomness import Stream, _fractions, permutation, random_words, uniforms

WORD = 2**64 - 1
SEEDS = st.integers(0, 2**64 - 1)
STREAMS = st.sampled_from(Stream)
ARGUMENTS = (SEEDS, STREAMS, SEEDS)

# Written down once. If one of these changes, every seed means another run: never update them, mend the code.
GOLDEN = {
    (0, Stream.SPLIT, 0): [0xD037F8C3F9A1D176, 0xC057419B4C210765, 0xABF13115117B0065],
    (1, Stream.WEIGHTS, 7): [0xF9AFF2D17DDFFFAE, 0x19D31C1F0A42C810, 0xCB764D36ADE2F751],
    (2**63 - 1, Stream.BATCHES, 2**40): [0x39A754713A55EBDD, 0x00B34355EF585990, 0x9772114843F81010],
    (12345, Stream.DROPOUT, 1): [0x7BDB257D5742CBB7, 0xB96EA465826E18E0, 0xD5B30F5E033F6FF8],
    (12345, Stream.AUGMENTATION, 1): [0x5B864E1C8F0B2320, 0x75472BC32A618E50, 0xF8895522A9B343A1],
}


def philox_4x64_10(counter, key):
    """The four words of one block, as the paper (Salmon et al., 2011) defines Philox4x64-10."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (second >> 64) ^ counter[1] ^ key[0],
            second & WORD,
            (first >> 64) ^ counter[3] ^ key[1],
            first & WORD,
        ]
        key = [(key[0] + 0x9E3779B97F4A7C15) & WORD, (key[1] + 0xBB67AE8584CAA73B) & WORD]
    return counter


@given(*ARGUMENTS)
@settings(deadline=None)
def test_words_are_those_of_the_papers_philox(seed, stream, step):
    expected = [word for block in (1, 2, 3) for word in philox_4x64_10([block, 0, 0, step], [seed, stream])]
    assert random_words(seed, stream, step, 12).tolist() == expected


@pytest.mark.parametrize(("seed", "stream", "step"), GOLDEN)
def test_words_are_for_ever_the_same(seed, stream, step):
    assert random_words(seed, stream, step, 3).tolist() == GOLDEN[seed, stream, step]


def test_streams_are_never_renumbered():
    assert {stream.name: stream.value for stream in Stream} == {
        "SPLIT": 1, "WEIGHTS": 2, "BATCHES": 3, "DROPOUT": 4, "AUGMENTATION": 5,
        "BOOTSTRAP": 6, "CORRUPTION": 8, "EXPLANATION": 9, "OUTLIERS": 10, "GOLDEN": 11, "SEARCH": 12, "SHARDS": 13,
        "IN_SHARDS": 14, "DEALING": 15,
    }  # fmt: skip


@given(*ARGUMENTS, st.integers(0, 50), st.integers(0, 50))
@settings(deadline=None)
def test_fewer_words_are_the_first_of_more(seed, stream, step, few, more):
    few, more = sorted((few, more))
    assert (random_words(seed, stream, step, more)[:few] == random_words(seed, stream, step, few)).all()


def test_seeds_streams_and_steps_share_no_words():
    words = [
        random_words(seed, stream, step, 50)
        for seed in (0, 1, 2, 2**32, 2**63 - 1)
        for stream in Stream
        for step in (0, 1, 2, 2**32, 2**63 - 1)
    ]
    assert len(np.unique(words)) == np.size(words)


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, Stream.SPLIT, 0), (1, Stream.SPLIT, 0)), ((0, Stream.SPLIT, 0), (0, Stream.WEIGHTS, 0)),
     ((0, Stream.SPLIT, 0), (0, Stream.SPLIT, 1)), ((0, Stream.BATCHES, 1), (1, Stream.BATCHES, 0))],
)  # fmt: skip
def test_neighbouring_streams_are_not_correlated(one, other):
    n = 100_000
    r = np.corrcoef(uniforms(*one, n), uniforms(*other, n))[0, 1]
    assert abs(r) < 4 / np.sqrt(n)  # four standard errors; deterministic, so it either holds for ever or not


def test_uniforms_are_uniform_and_never_0_or_1():
    u = uniforms(0, Stream.WEIGHTS, 0, 200_000)
    assert u.dtype == np.float64
    assert u.min() > 0
    assert u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    chi_squared = ((counts - 2000) ** 2 / 2000).sum()
    assert 50 < chi_squared < 150  # 99 degrees of freedom: mean 99, standard deviation 14


def test_uniforms_of_the_extreme_words_stay_inside():
    lowest, highest = _fractions(np.array([0, WORD], np.uint64)).tolist()
    assert lowest == 2.0**-53
    assert highest == 1 - 2.0**-53


@given(*ARGUMENTS, st.integers(0, 300))
@settings(deadline=None)
def test_permutation_has_each_number_once(seed, stream, step, n):
    order = permutation(seed, stream, step, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_permutations_of_the_steps_are_drawn_alike():
    n, draws = 4, 24_000
    orders = np.array([permutation(0, Stream.BATCHES, step, n) for step in range(draws)])
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 60  # 23 degrees of freedom: mean 23, standard deviation 6.8


def test_permutation_is_the_same_for_ever():
    assert permutation(0, Stream.BATCHES, 0, 10).tolist() == [5, 4, 6, 7, 9, 0, 1, 2, 3, 8]
    assert permutation(3, Stream.SPLIT, 1, 5).tolist() == [0, 2, 3, 4, 1]


def test_permutations_of_following_epochs_differ():
    orders = [permutation(0, Stream.BATCHES, epoch, 1000) for epoch in range(5)]
    for one, next_one in pairwise(orders):
        assert (one == next_one).sum() < 10  # of 1,000; one is to be expected
