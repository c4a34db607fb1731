import os
import signal
import threading

import pytest

from eyebright.training.interrupts import Interrupts

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def obeyed():
    """Put handlers in the place of the usual ones, that only note what arrives."""
    arrived = []
    before = [signal.signal(number, lambda number, _frame: arrived.append(number)) for number in SIGNALS]
    yield arrived
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_not_obeyed(number, obeyed):
    with Interrupts() as interrupts:
        assert interrupts.received is None
        os.kill(os.getpid(), number)
        assert interrupts.received == number
    assert obeyed == []


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_is_obeyed_at_once(first, second, obeyed):
    with Interrupts() as interrupts:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert obeyed == [second]
        assert interrupts.received == first


def test_afterwards_signals_do_what_they_did_before(obeyed):
    with Interrupts():
        pass
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    assert obeyed == SIGNALS


def test_off_the_main_thread_signals_do_what_they_did_before(obeyed):
    noted = []

    def work():
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGTERM)
            noted.append(interrupts.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert noted == [None]
    assert obeyed == [signal.SIGTERM]


def test_within_another_context_what_was_received_is_known_to_both(obeyed):
    with Interrupts() as outer:
        with Interrupts() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            assert inner.received == signal.SIGINT
        assert outer.received == signal.SIGINT
        with Interrupts() as later:
            assert later.received == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert obeyed == [signal.SIGINT]
    with Interrupts() as another:
        assert another.received is None
