"""The bounds of a setting, and what is said of those that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright import preset_settings
from eyebright.errors import SettingsError
from eyebright.sources import Layer
from eyebright.tuning.bounds import kind_of, read_bounds


def read(name, table, **overrides):
    return read_bounds(Layer("space.toml", {name: table}), name, table, preset_settings(model="fc", **overrides))


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("lerning_rate", {"low": 1, "high": 2}, r"unknown setting. Did you mean 'learning_rate'?"),
        ("seed", {"choices": [1]}, r"\[seed\]: cannot be searched: it makes no classifier better."),
        ("validation", {"choices": [0.1]}, r"cannot be searched: all trials must be judged on the same images"),
        ("image_size", {"choices": [32]}, r"cannot be searched: all trials must be judged on the same images"),
        ("augmentation", {"choices": [1]}, r"cannot be searched: single operations .* search augment"),
        ("learning_rate", {"low": 0, "high": 1, "log": True}, r"low = 0: a logarithmic range begins above 0"),
        ("learning_rate", {"low": 1.0, "high": 0.1}, r"low = 1.0: the range is empty: low must be below high = 0.1"),
        ("learning_rate", {"low": 0.1, "high": 0.1}, r"low = 0.1: the range is empty"),
        ("learning_rate", {"low": 0.0, "high": 1}, r"learning_rate = 0: input should be greater than 0"),
        ("dropout", {"low": 0.0, "high": 1.5}, r"\[dropout\]: dropout = 1.5: input should be less than 1"),
        ("dropout", {"low": 0, "high": float("nan")}, r"high = nan: must be a finite number"),
        ("hidden_units", {"low": 1.5, "high": 20}, r"low = 1.5: hidden_units takes whole numbers"),
        ("l2", {"low": 0.1, "high": 0.35, "step": 0.1}, r"step = 0.1: does not divide the range from 0.1 to 0.35"),
        ("l2", {"low": 0.1, "high": 1.0, "step": 0.0}, r"step = 0.0: must be above 0"),
        ("l2", {"low": 0.1, "high": 1.0, "step": 0.1, "log": True}, r"step = 0.1: a logarithmic range has no steps"),
        ("l2", {"low": 0.0, "high": 1.0, "step": 1e-320}, r"step = .*: does not divide the range"),
        ("momentum", {"low": 0.5, "high": 0.9, "when": {"optimizer": []}}, r"when = .*: optimizer is given no value"),
        ("l2", {"low": "a", "high": 1}, r"low = a: must be a number"),
        ("l2", {"lo": 1}, r"\[l2\] lo: unknown. Did you mean 'low'?"),
        ("l2", {"low": 1}, r"\[l2\]: give low and high, or choices"),
        ("l2", {}, r"\[l2\]: give low and high, or choices"),
        ("l2", 0.1, r"\[l2\]: give a table with low and high, or with choices"),
        ("l2", {"choices": []}, r"choices = .*: is empty"),
        ("l2", {"choices": [0.1, 0.1]}, r"choices = .*: has a value twice"),
        ("l2", {"choices": [0.1], "low": 0.0}, r"choices = .*: excludes low, high, log and step"),
        ("optimizer", {"low": 1, "high": 2}, r"\[optimizer\]: it is no number, and has no range. Give choices"),
        ("optimizer", {"choices": ["adamm"]}, r'optimizer = "adamm": .* Did you mean \'adam'),
        ("channels", {"choices": [[16, 32]]}, r"\[channels\]: channels: the fc model has no such setting"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_key(name, table, message):
    with pytest.raises(SettingsError, match=message) as error:
        read(name, table)
    assert str(error.value).startswith(f"space.toml: [{name}]")


def test_numbers_are_told_apart_from_all_else():
    kinds = {name: kind_of(name) for name in ("hidden_units", "l2", "clip_norm", "averaging_steps", "warmup_steps")}
    assert kinds == {"hidden_units": int, "l2": float, "clip_norm": float, "averaging_steps": int, "warmup_steps": int}
    assert {kind_of(name) for name in ("optimizer", "channels", "batch_norm", "teacher", "freeze")} == {None}


def test_a_choice_that_is_a_list_is_what_its_flag_takes():
    bounds = read_bounds(
        Layer("space.toml", {}), "channels", {"choices": [[16, 32], [64]]}, preset_settings(model="cnn")
    )
    assert bounds.choices == ("16,32", "64")


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3))
def test_every_range_of_two_numbers_is_read_or_called_empty(low, high):
    if low < high:
        assert read("l2", {"low": low, "high": high, "log": True}).range == (low, high)
    else:
        with pytest.raises(SettingsError, match="the range is empty"):
            read("l2", {"low": low, "high": high, "log": True})


def test_bounds_say_what_they_are():
    assert str(read("l2", {"low": 0.1, "high": 1, "log": True})) == "from 0.1 to 1, logarithmically"
    assert str(read("l2", {"low": 0.1, "high": 0.3, "step": 0.1})) == "from 0.1 to 0.3 in steps of 0.1"
    assert str(read("batch_norm", {"choices": [True, False]})) == "among true, false"
