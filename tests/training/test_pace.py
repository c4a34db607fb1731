import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eyebright.settings import Settings
from eyebright.training.pace import Pace

periods = st.integers(1, 40)


@given(periods, periods, periods, st.integers(1, 120), st.integers(0, 119))
def test_calls_follow_each_other_and_none_goes_past_a_point_where_something_is_due(
    checkpoint_steps, log_steps, per_epoch, total, start
):
    settings = Settings(max_steps=total, batch_size=2, checkpoint_steps=checkpoint_steps, log_steps=log_steps)
    pace = Pace(settings, images=2 * per_epoch + 1, total_steps=total)
    done = start % total
    while done < total:
        steps = pace.next_steps(done)
        pace.finish(len(steps))
        assert steps.tolist() == list(range(done, done + len(steps)))
        inside = steps[:-1]  # after these steps nothing may be due
        assert not ((inside + 1) % checkpoint_steps == 0).any()
        assert not ((inside + 1) % per_epoch == 0).any()
        assert not (inside % log_steps == 0).any()
        done += len(steps)
        assert pace.is_checkpoint(done) == (done % checkpoint_steps == 0 or done == total)
        assert pace.is_epoch_end(done) == (done % per_epoch == 0 or done == total)
    assert done == total


def test_calls_grow_while_steps_are_quick():
    pace = Pace(Settings(max_steps=10**6, log_steps=10**6, checkpoint_steps=10**6), images=10**9, total_steps=10**6)
    lengths, done = [], 1  # step 0 is one of the log_steps
    for _ in range(6):
        steps = pace.next_steps(done)
        pace.finish(len(steps))
        lengths.append(len(steps))
        done += len(steps)
    assert lengths == [1, 2, 4, 8, 16, 32]


def test_a_call_that_took_too_long_is_followed_by_a_shorter_one(monkeypatch):
    pace = Pace(Settings(max_steps=1000, log_steps=1000), images=10**6, total_steps=1000)
    clock = iter(np.arange(0, 100, 2.0).tolist())  # each call takes two seconds
    for _ in range(3):
        pace.finish(len(pace.next_steps(1)))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert pace.finish(len(pace.next_steps(1))) == 2.0
    assert len(pace.next_steps(1)) == 2  # of eight steps in two seconds, two take half a second
