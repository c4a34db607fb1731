import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaincinv

from eyebright.metrics.beta import beta_cdf, beta_quantile

SIZES = st.floats(0.5, 60_000)


@given(st.floats(0, 1), SIZES, SIZES)
def test_it_is_what_scipy_gives(x, a, b):
    assert beta_cdf(x, a, b) == pytest.approx(betainc(a, b, x), abs=1e-9)


@given(st.floats(0.001, 0.999), st.integers(1, 60_000), st.integers(1, 60_000))
def test_where_a_count_of_errors_decides_it_is_what_scipy_gives(x, errors, hits):
    assert beta_cdf(x, hits, errors + 1) == pytest.approx(betainc(hits, errors + 1, x), abs=1e-9)


@given(st.floats(0.01, 0.99), st.integers(1, 20_000), st.integers(1, 20_000))
def test_the_quantile_is_what_scipy_gives(probability, a, b):
    assert beta_quantile(probability, a, b) == pytest.approx(betaincinv(a, b, probability), abs=1e-9)
