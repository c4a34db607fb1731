"""Search spaces: conditions, presets' own, and the settings that a trial gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright import SearchSpace, preset_settings
from eyebright.errors import SettingsError
from eyebright.presets import preset_names
from eyebright.settings import Settings
from eyebright.tuning.space import trial_settings

FC = preset_settings(model="fc")
OPTIMIZERS = {"choices": ["adamw", "momentum"]}
CONDITIONAL = {
    "weight_decay": {"low": 0.0, "high": 1.0, "when": {"optimizer": "adamw"}},
    "momentum": {"low": 0.5, "high": 0.9, "when": {"optimizer": ["momentum"]}},
    "optimizer": OPTIMIZERS,
}
PRESETS = [(preset, model) for model, names in preset_names().items() for preset in names]


class Chooser:
    """Chooses the last of all choices and the lower end of all ranges, as Optuna's trial would choose."""

    def suggest_categorical(self, name, choices):
        return choices[-1]

    def suggest_int(self, name, low, high, *, step, log):
        return low

    suggest_float = suggest_int


@pytest.mark.parametrize(("preset", "model"), PRESETS)
def test_every_preset_has_a_space_in_which_it_lies(preset, model):
    settings = preset_settings(preset, model)
    space = SearchSpace.of_preset(settings)
    assert space.searched
    assert space.of_settings(settings)[1] == []


def test_the_tutorials_space_is_what_the_tutorial_says_that_its_readers_may_vary():
    space = SearchSpace.of_preset(preset_settings("tutorial", model="fc"))
    assert set(space.searched) == {"hidden_units", "learning_rate", "schedule", "l2", "batch_size", "max_steps"}


def test_a_setting_under_a_condition_is_chosen_where_it_holds():
    space = SearchSpace.of(CONDITIONAL, FC)
    assert space.suggest(Chooser()) == {"optimizer": "momentum", "momentum": 0.5}
    assert space.of_settings(FC) == ({"optimizer": "adamw", "weight_decay": 0.2}, [])
    assert SearchSpace.from_dict(space.to_dict()) == space


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"dropout": {"low": 0.0, "high": 0.5, "when": {"optimizer": "sgd"}}}, "when: optimizer is not searched"),
        ({**CONDITIONAL, "momentum": {"low": 0.1, "high": 0.9, "when": {"optimizer": "sgd"}}},
         r"\[momentum\] when: optimizer is never sgd. Its choices: adamw, momentum"),
        ({"l2": {"low": 0.0, "high": 1.0}, "l1": {"low": 0.0, "high": 1.0, "when": {"l2": 0.5}}},
         r"\[l1\] when: l2 has a range; a condition looks at a setting that has choices"),
        ({"batch_norm": {"choices": [True, False], "when": {"optimizer": "sgd"}},
          "optimizer": {"choices": ["sgd"], "when": {"batch_norm": True}}}, "optimizer wait for each other"),
        ({"epochs": {"low": 1, "high": 2}, "max_steps": {"low": 1, "high": 2}}, "epochs and max_steps"),
        ({}, "it names no setting to search"),
    ],
)  # fmt: skip
def test_spaces_that_contradict_themselves_are_refused(bounds, message):
    with pytest.raises(SettingsError, match=message):
        SearchSpace.of(bounds, FC)


def test_what_lies_outside_is_named_and_no_value_of_the_space():
    space = SearchSpace.of({"hidden_units": {"choices": [64, 128]}, "l2": {"low": 0.1, "high": 1.0}}, FC)
    assert space.of_settings(FC) == ({}, ["hidden_units", "l2"])


def test_settings_that_are_fixed_take_what_hangs_on_them_along():
    space = SearchSpace.of(CONDITIONAL, FC)
    assert set(space.without({"optimizer"}).searched) == set()
    assert set(space.without({"momentum"}).searched) == {"optimizer", "weight_decay"}


@given(st.floats(0.01, 1.0))
def test_batches_that_are_scaled_to_few_images_stay_a_range(factor):
    space = SearchSpace.of({"batch_size": {"low": 125, "high": 1000, "log": True}}, FC).scaled("batch_size", factor, 8)
    low, high = space.searched["batch_size"].range
    assert 8 <= low < high <= 1000


def test_a_trial_has_the_values_that_were_chosen_and_the_rest_of_the_base():
    settings = trial_settings(FC, {"max_steps": 7, "optimizer": "sgd"}, "trial 3")
    assert (settings.max_steps, settings.epochs, settings.optimizer) == (7, None, "sgd")
    assert settings == Settings(**{**FC.to_dict(), "epochs": None, "max_steps": 7, "optimizer": "sgd"})


def test_another_policy_of_augmentation_does_without_the_changes_of_the_first():
    cnn = preset_settings(model="cnn")
    assert cnn.augmentation.model_fields_set
    assert trial_settings(cnn, {"augment": cnn.augment}, "trial 1") == cnn
    assert not trial_settings(cnn, {"augment": "light"}, "trial 1").augmentation.model_fields_set


def test_values_that_exclude_each_other_are_refused_under_the_trials_name():
    with pytest.raises(SettingsError, match="trial 4: accumulate: 3 parts do not divide a batch of 500"):
        trial_settings(FC, {"accumulate": 3}, "trial 4")
