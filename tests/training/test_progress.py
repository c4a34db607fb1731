import io
import os
import pty
import re
import select

import pytest
from rich.console import Console

from eyebright.training.progress import TrainingProgress, say


def show(console):
    """What a training of 2,000 steps shows of its step 100 and a validation."""
    with TrainingProgress(console, total_steps=2000, done=40) as progress:
        progress.advance(101, 61.5, 0.2675, 123_456.7)
        progress.logged(100, 0.2675)
        progress.validated(125, 0.31254)
        progress.advance(126, 9.87, 0.3, 120_000.0)


@pytest.fixture
def terminal():
    """A pseudo-terminal: a console on it, and what arrives there."""
    reading, writing = pty.openpty()

    def arrived():
        received = b""
        while select.select([reading], [], [], 0.1)[0]:
            received += os.read(reading, 65536)
        return received.decode()

    with os.fdopen(writing, "w", encoding="utf-8") as file:
        yield file, arrived
    os.close(reading)


def test_on_a_pipe_a_plain_line_in_the_words_of_the_tutorial():
    output = io.StringIO()
    show(Console(file=output))
    assert output.getvalue() == "Step 100, training accuracy 0.2675\nStep 125, validation accuracy 0.3125\n"


def without_control_codes(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_a_bar_with_steps_speed_loss_accuracy_and_time_left(width, terminal):
    file, arrived = terminal
    show(Console(file=file, width=width))
    drawn = [line for line in re.split(r"[\r\n]+", without_control_codes(arrived())) if line.strip()]
    last = drawn[-1]
    expected = r"Step  126/2000 [━╸╺]{5,} 120,000 images/s  loss 9.870  accuracy 0.300 (\d:\d\d:\d\d|-:--:--)"
    assert re.fullmatch(expected, last.rstrip())
    assert len(last.rstrip()) <= width
    assert "Step 125, validation accuracy 0.3125" in [line.rstrip() for line in drawn]
    assert not any("Step 100, training accuracy" in line for line in drawn)


def test_without_a_console_nothing_is_shown(capfd):
    show(None)
    say(None, "unheard")
    assert capfd.readouterr() == ("", "")


def test_messages_are_printed_as_they_are():
    output = io.StringIO()
    message = f"[red]no markup[/red] {'x' * 300} 0.123 'quoted'"
    say(Console(file=output, width=80), message)
    assert output.getvalue() == message + "\n"
