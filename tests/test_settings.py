import tomllib
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import settings as testing
from hypothesis import strategies as st
from pydantic import ValidationError

from eyebright.settings import UNUSED_BY_MODEL, Settings

COUNT = st.integers(1, 2**31 - 1)
FRACTION = st.floats(0, 1, exclude_max=True)
NOT_NEGATIVE = st.floats(0, allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False)
STRATEGIES = {
    "data": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    "preset": st.text(st.characters(exclude_categories=["Cs"])),
    "validation": st.one_of(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(1, 10**6).map(float)),
    "test_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "split_seed": st.integers(0, 2**63 - 1),
    "layers": COUNT,
    "hidden_units": COUNT,
    "batch_norm": st.booleans(),
    "dropout": FRACTION,
    "l2": NOT_NEGATIVE,
    "label_smoothing": FRACTION,
    "learning_rate": POSITIVE,
    "momentum": FRACTION,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "warmup_steps": st.integers(0, 2**31 - 1),
    "batch_size": COUNT,
    "patience": COUNT,
    "restore_best": st.booleans(),
    "seed": st.integers(0, 2**63 - 1),
    "threads": st.integers(1, 1024),
    "log_steps": COUNT,
    "checkpoint_steps": COUNT,
    "keep_checkpoints": st.integers(2, 2**31 - 1),
}
CHOICES = {
    name: get_args(field.annotation)
    for name, field in Settings.model_fields.items()
    if get_origin(field.annotation) is Literal
}
LENGTHS = {"epochs", "max_steps"}


def all_settings():
    """Any settings that are valid, each setting given or left at its default."""
    values = {**STRATEGIES, **{name: st.sampled_from(choices) for name, choices in CHOICES.items() if name != "model"}}
    optional = st.fixed_dictionaries({}, optional=values)
    length = st.one_of(st.fixed_dictionaries({"epochs": COUNT}), st.fixed_dictionaries({"max_steps": COUNT}))
    return st.builds(lambda chosen, length: Settings(**chosen, **length), optional, length)


def test_every_setting_is_described_and_covered_here():
    assert STRATEGIES.keys() | CHOICES.keys() | LENGTHS == Settings.model_fields.keys()
    assert all(field.description for field in Settings.model_fields.values())


@given(all_settings())
@testing(deadline=None)
def test_settings_survive_toml(settings):
    assert Settings(**tomllib.loads(settings.to_toml().decode())) == settings


@given(all_settings())
@testing(deadline=None)
def test_toml_is_sorted_by_name(settings):
    keys = list(tomllib.loads(settings.to_toml().decode()))
    assert keys == sorted(keys)


OUT_OF_RANGE = [
    *(("learning_rate", value) for value in (0.0, -0.1, float("nan"), float("inf"))),
    *(("batch_size", value) for value in (0, -1, 2**31)),
    *(("validation", value) for value in (-0.1, 1.5, float("nan"))),
    *(("test_fraction", value) for value in (0.0, 1.0)),
    *(("dropout", value) for value in (-0.1, 1.0)),
    *(("label_smoothing", value) for value in (-0.1, 1.0)),
    *(("l2", value) for value in (-1e-9, float("inf"))),
    *(("momentum", value) for value in (-0.1, 1.0)),
    *(("weight_decay", value) for value in (-1.0, float("nan"))),
    *(("clip_norm", value) for value in (0.0, -1.0)),
    *(("seed", value) for value in (-1, 2**63)),
    *(("split_seed", value) for value in (-1, 2**63)),
    *(("threads", value) for value in (0, 1025)),
    *((name, 0) for name in ("layers", "hidden_units", "max_steps", "patience", "log_steps", "checkpoint_steps")),
    ("warmup_steps", -1),
    ("keep_checkpoints", 1),
    ("data", ""),
    *((name, "nothing") for name in CHOICES),
]


def one_setting(name, value):
    length = {} if name in LENGTHS else {"epochs": 1}
    return Settings(**{name: value}, **length)


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        one_setting(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", "9"),
        ("batch_size", 9.0),
        ("learning_rate", "0.1"),
        ("batch_norm", 1),
        ("seed", True),
        ("data", 3),
    ],
)
def test_value_of_another_type_is_refused_and_not_converted(name, value):
    with pytest.raises(ValidationError, match=name):
        one_setting(name, value)


def test_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="learnin_rate"):
        one_setting("learnin_rate", 0.1)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings(epochs=1).seed = 3


@pytest.mark.parametrize("lengths", [{}, {"epochs": 1, "max_steps": 1}])
def test_length_is_given_once(lengths):
    with pytest.raises(ValidationError, match="give either epochs or max_steps"):
        Settings(**lengths)


@pytest.mark.parametrize("chosen", [{"patience": 3}, {"restore_best": True}])
def test_choosing_by_validation_needs_validation_images(chosen):
    assert Settings(epochs=1, **chosen).validation > 0
    with pytest.raises(ValidationError, match="look at validation images"):
        Settings(epochs=1, validation=0, **chosen)


@pytest.mark.parametrize(("model", "names"), UNUSED_BY_MODEL.items())
def test_setting_that_the_model_has_no_use_for_is_refused(model, names):
    values = {"layers": 2, "hidden_units": 9, "activation": "elu", "batch_norm": True, "dropout": 0.5}
    assert values.keys() == names
    for name, value in values.items():
        with pytest.raises(ValidationError, match=f"{name}: the {model} model has no hidden layers"):
            Settings(epochs=1, model=model, **{name: value})
    defaults = {name: Settings.model_fields[name].default for name in names}
    assert Settings(epochs=1, model=model, **defaults).model == model


def test_split_settings_are_those_of_split_dataset():
    settings = Settings(epochs=1, validation=0.2, test_fraction=0.3, seed=5, split_seed=7)
    assert settings.split == {"validation": 0.2, "test_fraction": 0.3, "seed": 7}
