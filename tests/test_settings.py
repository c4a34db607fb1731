import tomllib
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import settings as testing
from hypothesis import strategies as st
from pydantic import ValidationError

from eyebright.augmentation import Augmentation
from eyebright.settings import UNUSED_BY_MODEL, Settings

COUNT = st.integers(1, 2**31 - 1)
FRACTION = st.floats(0, 1, exclude_max=True)
NOT_NEGATIVE = st.floats(0, allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
AUGMENTATION = st.fixed_dictionaries({}, optional={
    "flip": st.sampled_from(["none", "random", "alternating"]), "shift": st.integers(0, 99), "crop": st.just(0.5),
    "rotate": st.floats(0, 180), "trivial_augment": st.booleans(), "mixup": st.floats(0, 100),
})  # fmt: skip
STRATEGIES = {
    "data": TEXT,
    "preset": TEXT,
    "validation": st.one_of(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(1, 10**6).map(float)),
    "image_size": st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    "max_pixels": COUNT,
    **dict.fromkeys(("image_column", "label_column", "split_column", "group_column", "exclude"), TEXT),
    "group_regex": st.sampled_from(["[^/]+", r"(\d+)-"]),
    "allow_outside": st.booleans(),
    "test_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "split_seed": st.integers(0, 2**63 - 1),
    "whitening_epsilon": POSITIVE,
    "layers": COUNT,
    "hidden_units": COUNT,
    "batch_norm": st.booleans(),
    "channels": st.just((64, 256, 256)),  # others are the cnn model's, and these here the fc's
    "dropout": FRACTION,
    "freeze": st.lists(TEXT, max_size=3).map(tuple),
    "augmentation": AUGMENTATION,
    "l2": NOT_NEGATIVE,
    "l1": NOT_NEGATIVE,
    "label_smoothing": FRACTION,
    "teacher": TEXT,
    "weights": st.just("imagenet"),  # others are the transfer model's
    "distillation_weight": st.floats(0, 1, exclude_min=True),
    "distillation_temperature": POSITIVE,
    "learning_rate": POSITIVE,
    "momentum": FRACTION,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "warmup_steps": st.integers(0, 2**31 - 1),
    "averaging_decay": st.floats(0, 0.999999, exclude_min=True),
    "averaging_start": FRACTION,
    "averaging_steps": COUNT,
    "batch_size": COUNT,
    "accumulate": st.just(1),  # others must divide the batch
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
OF_OTHER_MODELS = {"model", "backbone", "residuals"}  # than fc, which is what the settings drawn here are of


def all_settings():
    """Any settings that are valid, each setting given or left at its default."""
    values = {
        **STRATEGIES,
        **{name: st.sampled_from(choices) for name, choices in CHOICES.items() if name not in OF_OTHER_MODELS},
    }
    optional = st.fixed_dictionaries({}, optional=values)
    length = st.one_of(st.fixed_dictionaries({"epochs": COUNT}), st.fixed_dictionaries({"max_steps": COUNT}))
    return st.builds(lambda chosen, length: Settings(**chosen, **length), optional, length)


def test_every_setting_is_described_and_covered_here():
    assert STRATEGIES.keys() | CHOICES.keys() | LENGTHS == Settings.model_fields.keys()
    assert all(field.description for field in Settings.model_fields.values())


def from_toml(settings):
    return Settings(**tomllib.loads(settings.to_toml().decode()))


@given(all_settings())
@testing(deadline=None)
def test_settings_survive_toml(settings):
    again = from_toml(settings)
    assert again == settings
    assert again.augmentation.model_fields_set == settings.augmentation.model_fields_set


@given(st.lists(COUNT, min_size=1), st.integers(1, 64), st.integers(1, 2**15))
def test_settings_of_a_convolutional_network_survive_toml(channels, accumulate, part):
    settings = Settings(
        epochs=1, model="cnn", channels=tuple(channels), accumulate=accumulate, batch_size=accumulate * part
    )
    assert from_toml(settings) == settings


def test_toml_holds_of_augmentation_what_was_set_and_no_empty_list():
    settings = Settings(epochs=1, augment="standard", augmentation={"flip": "none", "shift": 3})
    values = tomllib.loads(settings.to_toml().decode())
    assert values["augmentation"] == {"flip": "none", "shift": 3}
    assert values["channels"] == [64, 256, 256]
    assert "freeze" not in values
    assert "augmentation" not in tomllib.loads(Settings(epochs=1, augment="standard").to_toml().decode())


@given(all_settings())
@testing(deadline=None)
def test_toml_is_sorted_by_name_with_the_table_at_its_end(settings):
    keys = list(tomllib.loads(settings.to_toml().decode()))
    assert keys == sorted(keys, key=lambda key: (key == "augmentation", key))


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
    *(("channels", value) for value in ((), (64, 0), (-1,), (2**31,), "64,0", "")),
    *(("freeze", value) for value in (("",), "hidden_1,,output")),
    *((name, 0) for name in ("accumulate", "averaging_steps")),
    *((name, 0.0) for name in ("whitening_epsilon", "distillation_weight", "distillation_temperature")),
    *(("distillation_weight", value) for value in (1.01, float("nan"))),
    *(("averaging_decay", value) for value in (0.0, 1.0)),
    *(("averaging_start", value) for value in (-0.1, 1.0)),
    ("teacher", ""),
    ("augmentation", {"shift": -1}),
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
        ("channels", 64),
        ("channels", (64, 256.0)),
        ("channels", ["64"]),
        ("channels", "64,x"),
        ("channels", "64,-1"),
        ("freeze", (1,)),
        ("teacher", 3),
        ("augmentation", "strong"),
        ("augmentation", {"shift": "2"}),
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


@pytest.mark.parametrize("given", ["64,128", " 64, 128 ", [64, 128], (64, 128)])
def test_list_is_taken_as_a_flag_and_a_file_have_it(given):
    assert Settings(epochs=1, model="cnn", channels=given).channels == (64, 128)


@pytest.mark.parametrize(
    ("given", "names"),
    [("hidden_1,block_*", ("hidden_1", "block_*")), (["output"], ("output",)), ("none", ()), ("", ()), ([], ())],
)
def test_list_of_names_may_be_empty(given, names):
    assert Settings(epochs=1, freeze=given).freeze == names


def test_parts_of_a_batch_are_equal():
    assert Settings(epochs=1, batch_size=12, accumulate=4).accumulate == 4
    with pytest.raises(ValidationError, match="accumulate: 5 parts do not divide a batch of 12"):
        Settings(epochs=1, batch_size=12, accumulate=5)


def test_policy_is_the_named_one_with_what_augmentation_sets():
    shape = (32, 32, 3)
    assert Settings(epochs=1).policy(shape) == Augmentation()
    assert Settings(epochs=1, augment="standard").policy(shape) == Augmentation(flip="alternating", shift=2)
    changed = Settings(epochs=1, augment="standard", augmentation={"flip": "none", "cutout": 8})
    assert changed.policy(shape) == Augmentation(shift=2, cutout=8)


def test_settings_that_do_otherwise_are_not_equal():
    """Switched off in a policy is something else than not mentioned, though both have the default's value."""
    settings, switched_off = (
        Settings(epochs=1, augment="standard", augmentation=table) for table in ({}, {"flip": "none"})
    )
    assert settings.policy((8, 8, 3)) != switched_off.policy((8, 8, 3))
    assert settings != switched_off
    assert settings == Settings(epochs=1, augment="standard", dropout=0.0)
    assert hash(settings) == hash(Settings(epochs=1, augment="standard", dropout=0.0))
    assert settings != settings.to_dict()


DEPARTURES = {
    "layers": 2, "hidden_units": 9, "activation": "elu", "batch_norm": True, "dropout": 0.5, "channels": (8, 8),
    "initialization": "local", "whitening_epsilon": 0.5, "preprocessing": "per-channel", "backbone": "convnext-tiny",
    "weights": "runs/best", "residuals": "all",
}  # fmt: skip


@pytest.mark.parametrize(("model", "name"), [(model, name) for model in UNUSED_BY_MODEL for name in DEPARTURES])
def test_setting_that_the_model_has_no_use_for_is_refused(model, name):
    if name in UNUSED_BY_MODEL[model]:
        with pytest.raises(ValidationError, match=f"{name}: the {model} model has no such setting"):
            Settings(epochs=1, model=model, **{name: DEPARTURES[name]})
    else:
        assert getattr(Settings(epochs=1, model=model, **{name: DEPARTURES[name]}), name) == DEPARTURES[name]
    default = {name: Settings.model_fields[name].default}
    assert Settings(epochs=1, model=model, **default).model == model


def test_unused_settings_of_each_model_are_covered_here():
    assert UNUSED_BY_MODEL.keys() == set(CHOICES["model"])
    assert frozenset().union(*UNUSED_BY_MODEL.values()) == DEPARTURES.keys()


@pytest.mark.parametrize("preprocessing", ["whitening", "compact-whitening"])
def test_network_that_whitens_patches_does_not_whiten_images(preprocessing):
    with pytest.raises(ValidationError, match="preprocessing: the cnn model whitens patches"):
        Settings(epochs=1, model="cnn", preprocessing=preprocessing)


def test_split_settings_are_those_of_split_dataset():
    settings = Settings(epochs=1, validation=0.2, test_fraction=0.3, seed=5, split_seed=7)
    assert settings.split == {"validation": 0.2, "test_fraction": 0.3, "seed": 7}
