import io
import json
import re
import sys

import pytest
from rich.table import Table

from eyebright.cli.output import console_for, print_json, print_json_line, print_table


def test_what_is_for_people_goes_to_standard_error_beside_json_and_nowhere_when_quiet(capsys):
    assert console_for(quiet=True, json=False) is None
    assert console_for(quiet=True, json=True) is None
    console_for(quiet=False, json=False).print("plain:cat:")
    console_for(quiet=False, json=True).print("beside")
    assert capsys.readouterr() == ("plain:cat:\n", "beside\n")


def test_a_table_is_neither_wrapped_nor_cut_off_a_terminal_and_takes_brackets_as_they_are(capsys):
    long = "x" * 300
    table = Table("[red]class", "path")
    table.add_row("[bold]cat[/bold] :smile:", long)
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "[red]class" in lines[1]
    assert "[bold]cat[/bold] :smile:" in lines[3]
    assert long in lines[3]


def test_a_table_fits_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    table = Table("path")
    table.add_row("x" * 300)
    print_table(table)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())
    assert {len(line) for line in plain.splitlines()} == {60}


@pytest.mark.parametrize("value", [{"name": "Hündchen \ud800", "p": 0.1, "none": None}, [], [1, [2]]])
def test_json_is_ascii_and_read_back(value, capsys):
    print_json(value)
    print_json_line(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out.rstrip("\n").rsplit("\n", 1)[0]) == value
    assert json.loads(out.splitlines()[-1]) == value


@pytest.mark.parametrize("printed", [print_json, print_json_line])
def test_json_has_no_numbers_that_are_none(printed):
    with pytest.raises(ValueError, match="not JSON compliant"):
        printed({"accuracy": float("nan")})
