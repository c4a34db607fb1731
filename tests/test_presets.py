import re
import shutil
from importlib import resources
from typing import get_args

import pytest

from eyebright.errors import SettingsError
from eyebright.presets import (
    MIN_BATCH_SIZE,
    MIN_STEPS_PER_EPOCH,
    Resolved,
    preset_names,
    preset_settings,
    read_preset,
    resolve_settings,
)
from eyebright.settings import Model, Settings

ALL = [(preset, model) for model, presets in preset_names().items() for preset in presets]


def known(model):
    return f"{', '.join(preset_names()[model])}."


def test_each_model_has_a_default_and_those_of_the_tutorial_its_settings():
    assert sorted(preset_names()) == sorted(get_args(Model))
    assert [model for model, presets in preset_names().items() if "default" not in presets] == []
    assert [model for model, presets in preset_names().items() if "tutorial" in presets] == ["fc", "softmax"]


@pytest.mark.parametrize(("preset", "model"), ALL)
def test_preset_is_valid_settings_and_says_how_long_it_trains(preset, model):
    settings = preset_settings(preset, model=model)
    assert (settings.preset, settings.model) == (preset, model)
    assert settings == preset_settings(f"{preset}-{model}")
    assert {"epochs", "max_steps"} & read_preset(preset, model).values.keys()


@pytest.mark.parametrize(("preset", "model"), ALL)
def test_preset_states_in_its_header_what_to_expect(preset, model):
    recipe = (resources.files("eyebright") / "recipes" / f"{preset}-{model}.toml").read_text(encoding="utf-8")
    header = "".join(line for line in recipe.splitlines(keepends=True) if line.startswith("#"))
    stated = re.findall(r"^# (command|paper|hardware|expected): ", header, flags=re.MULTILINE)
    assert stated == ["command", "paper", "hardware", "expected"]
    data, *flags = re.search(r"^# command: +eyebright train (.+)$", header, flags=re.MULTILINE)[1].split()
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    assert data == "cifar10"
    assert given == {"--model": model, **({} if preset == "default" else {"--preset": preset})}


def test_tutorial_presets_are_the_tutorial():
    fc = preset_settings("tutorial", model="fc")
    assert (fc.layers, fc.hidden_units, fc.activation, fc.l2) == (1, 120, "relu", 0.1)
    assert (fc.optimizer, fc.learning_rate, fc.schedule) == ("sgd", 0.001, "constant")
    assert (fc.max_steps, fc.batch_size, fc.preprocessing, fc.validation) == (2000, 400, "mean-image", 0)
    softmax = preset_settings("tutorial", model="softmax")
    assert (softmax.max_steps, softmax.batch_size, softmax.learning_rate) == (1000, 100, 0.005)
    assert (softmax.optimizer, softmax.l2, softmax.preprocessing, softmax.validation) == ("sgd", 0, "mean-image", 0)


def test_flags_win_over_the_file_and_the_file_over_the_preset(toml):
    file = toml("learning_rate = 0.25\nbatch_size = 7\n")
    resolved = resolve_settings({"preset": "tutorial", "batch_size": 9, "seed": None}, file)
    assert resolved.settings.learning_rate == 0.25
    assert resolved.settings.batch_size == 9
    assert resolved.settings.l2 == 0.1
    assert resolved.settings.seed == Settings.model_fields["seed"].default
    assert {name: layer.source for name, layer in resolved.given.items()} == {
        "preset": "flags", "learning_rate": str(file), "batch_size": "flags",
    }  # fmt: skip


def test_file_may_name_the_preset_and_the_model(toml):
    settings = resolve_settings({}, toml('preset = "tutorial"\nmodel = "softmax"\n')).settings
    assert settings == preset_settings("tutorial", model="softmax")
    assert resolve_settings({"model": "fc"}, toml('preset = "tutorial"\nmodel = "softmax"\n')).settings.model == "fc"


@pytest.mark.parametrize("given", ["epochs", "max_steps"])
@pytest.mark.parametrize("preset", ["tutorial", "default"])
def test_length_of_a_later_layer_replaces_that_of_an_earlier_one(given, preset, toml):
    for settings in (
        resolve_settings({"preset": preset, given: 3}).settings,
        resolve_settings({"preset": preset}, toml(f"{given} = 3")).settings,
        resolve_settings({"preset": preset, given: 3}, toml("epochs = 9")).settings,
    ):
        assert settings.model_dump(include={"epochs", "max_steps"}, exclude_none=True) == {given: 3}


@pytest.mark.parametrize(("preset", "model"), ALL)
def test_settings_file_of_a_run_gives_its_settings_again(preset, model, tmp_path):
    settings = preset_settings(
        preset, model=model, seed=3, learning_rate=1e-5, threads=2, clip_norm=1.5, freeze="output,block_*",
        augment="light", augmentation={"flip": "none", "rotate": 15}, teacher="runs/best", accumulate=2,
    )  # fmt: skip
    (tmp_path / "settings.toml").write_bytes(settings.to_toml())
    assert resolve_settings({}, tmp_path / "settings.toml").settings == settings


def refused(flags=(), file=None):
    with pytest.raises(SettingsError) as error:
        resolve_settings(dict(flags), file)
    return str(error.value)


def test_flag_over_a_mistake_of_the_file_mends_it(toml):
    assert resolve_settings({"dropout": 0.5}, toml("dropout = 5")).settings.dropout == 0.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"model": "fcc"}, "--model fcc: no such model. Did you mean 'fc'?"),
        ({"preset": "tutrial"}, "--preset tutrial: the model fc has no such preset. Did you mean 'tutorial'?"),
        ({"preset": "x"}, f"--preset x: the model fc has no such preset. Known: {known('fc')}"),
        ({"preset": ""}, f"--preset : the model fc has no such preset. Known: {known('fc')}"),
        (
            {"preset": "tutorial", "model": "cnn"},
            f"--preset tutorial: the model cnn has no such preset. Known: {known('cnn')}",
        ),
        (
            {"preset": "tutorial-softmax", "model": "fc"},
            f"--preset tutorial-softmax: is of the model softmax, but --model fc. Presets of fc: {known('fc')}",
        ),
    ],
)
def test_preset_or_model_that_there_is_not(flags, message):
    assert refused(flags) == message


def test_preset_or_model_of_a_file_is_named_as_the_files(toml):
    file = toml('model = "fcc"')
    assert refused(file=file) == f"{file}: model = \"fcc\": no such model. Did you mean 'fc'?"
    assert refused({"model": "fc"}, toml("preset = 5")) == f"{file}: preset = 5: input should be a valid string."
    assert refused(file=toml("model = [1]")) == f"{file}: model = [1]: input should be a valid string."


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Add a recipe to those of the package."""
    folder = tmp_path / "recipes"
    shutil.copytree(resources.files("eyebright") / "recipes", folder)
    monkeypatch.setattr("eyebright.presets._recipes", lambda: folder)
    return lambda name, text: (folder / f"{name}.toml").write_text(f"epochs = 1\n{text}", encoding="utf-8")


def set_of(settings):
    return settings.augment, settings.augmentation.model_dump(exclude_unset=True)


def test_another_policy_drops_the_single_operations_of_an_earlier_layer(recipe, toml):
    recipe("other-fc", 'augment = "strong"\n[augmentation]\nshift = 4\n')
    file = toml('augment = "light"\n[augmentation]\ncutout = 3\n')
    assert set_of(preset_settings("other")) == ("strong", {"shift": 4})
    assert set_of(preset_settings("other", augment="standard")) == ("standard", {})
    assert set_of(preset_settings("other", augment="strong")) == ("strong", {})
    assert set_of(resolve_settings({"preset": "other"}, file).settings) == ("light", {"cutout": 3})
    assert set_of(resolve_settings({"preset": "other", "augment": "none"}, file).settings) == ("none", {})
    assert set_of(resolve_settings({"preset": "other"}, toml('augment = "none"')).settings) == ("none", {})


def test_single_operations_of_a_file_change_the_policy_of_the_preset(recipe, toml):
    recipe("other-fc", 'augment = "standard"')
    settings = resolve_settings({"preset": "other"}, toml("augmentation.shift = 5")).settings
    assert settings.policy((32, 32, 3)).to_dict() == {"flip": "alternating", "shift": 5}


COLOURED, GREY = (32, 32, 3), (28, 28, 1)


@pytest.mark.parametrize("images", [1, 2, 7, 8, 9, 100, 159, 160, 161, 1294, 5119, 5120, 45_000])
def test_batch_size_of_a_preset_is_lowered_until_an_epoch_has_enough_steps(images):
    largest = 256
    resolved = Resolved(preset_settings(batch_size=largest), given={})
    fitted, notes = resolved.fitted(images, COLOURED)
    size = fitted.batch_size
    assert 1 <= size <= images
    assert size == min(images, largest) or largest % size == 0
    enough = images // size >= MIN_STEPS_PER_EPOCH
    assert enough or size <= MIN_BATCH_SIZE
    if size < largest and size >= MIN_BATCH_SIZE:  # no smaller than it must be
        assert images // min(2 * size, largest) < MIN_STEPS_PER_EPOCH
    assert fitted == resolved.settings.model_copy(update={"batch_size": size})
    lowered = f"Batch size lowered from the preset's 256 to {size}: the training set is small."
    assert notes == ([lowered] if size < largest else [])


@pytest.mark.parametrize(
    ("images", "validation"),
    [(20, 0.1), (1_437, 0.1), (10_000, 0.1), (10_001, 1000), (49_999, 1000), (50_000, 0.02), (10**6, 0.02)],
)
def test_a_presets_small_share_for_validation_is_raised_where_images_are_few(images, validation, recipe):
    recipe("other-fc", "validation = 0.02")
    resolved = resolve_settings({"preset": "other"})
    fitted, notes = resolved.fitted_to_size(images)
    assert fitted.settings == resolved.settings.model_copy(update={"validation": validation})
    raised = f"Validation raised from the preset's 0.02 to {validation}: there are few images."
    assert notes == ([raised] if validation != 0.02 else [])


@pytest.mark.parametrize("validation", [0, 0.01, 30])
def test_a_share_for_validation_that_was_given_is_kept(validation, recipe):
    recipe("other-fc", "validation = 0.02")
    resolved = resolve_settings({"preset": "other", "validation": validation})
    assert resolved.fitted_to_size(100) == (resolved, [])


def test_batch_size_that_was_given_is_kept_or_refused(toml):
    file = toml("batch_size = 50")
    for resolved, quote in (
        (resolve_settings({"batch_size": 50}), "--batch-size 50"),
        (resolve_settings({}, file), f"{file}: batch_size = 50"),
    ):
        assert resolved.fitted(50, COLOURED) == (resolved.settings, [])
        with pytest.raises(SettingsError, match=re.escape(f"{quote}: larger than the training set (49 images)")):
            resolved.fitted(49, COLOURED)


@pytest.mark.parametrize("accumulate", [2, 5, 16, 25, 50])
def test_lowered_batch_size_is_a_multiple_of_its_parts(accumulate):
    settings = preset_settings(batch_size=400)
    for images in range(accumulate, 9000, 37):
        resolved = Resolved(settings.model_copy(update={"accumulate": accumulate}), given={})
        fitted, _ = resolved.fitted(images, COLOURED)
        assert Settings(**fitted.to_dict()) == fitted  # which checks that the parts divide the batch
        assert fitted.batch_size <= min(images, 400)


def test_more_parts_than_images_are_refused(toml):
    flags = {"accumulate": 25}
    resolved = Resolved(preset_settings(batch_size=50, **flags), resolve_settings({}, toml("accumulate = 25")).given)
    assert resolved.fitted(25, COLOURED)[0].batch_size == 25
    message = "my.toml: accumulate = 25: more parts than there are images in the training set (24). Give fewer."
    with pytest.raises(SettingsError, match=re.escape(message)):
        resolved.fitted(24, COLOURED)
    with pytest.raises(SettingsError, match="preset default: accumulate = 25: more parts"):
        Resolved(resolved.settings, given={}).fitted(24, COLOURED)


IN_TRAINING = "Grey images are not mirrored in training; --augment standard does it."
IN_TESTING = "Grey images are not mirrored in testing; --tta mirror does it."


def mirroring(recipe, file=None):
    """A preset that mirrors, with what the user gave, fitted to grey images."""
    recipe("mirror-fc", 'augment = "strong"\ntta = "mirror"\n[augmentation]\nshift = 4\n')
    resolved = resolve_settings({"preset": "mirror"}, file)
    images = 10**6
    assert resolved.fitted(images, COLOURED) == (resolved.settings, [])
    settings, notes = resolved.fitted(images, GREY)
    assert Settings(**settings.to_dict()) == settings
    return settings.policy(GREY), settings.tta, notes


def test_a_presets_mirroring_of_grey_images_is_dropped_and_that_is_said(recipe):
    policy, tta, notes = mirroring(recipe)
    assert (policy.flip, policy.shift, policy.cutout, tta) == ("none", 4, 7, "none")
    assert notes == [IN_TRAINING, IN_TESTING]


@pytest.mark.parametrize(
    ("text", "flip", "tta", "notes"),
    [
        ('augment = "strong"', "alternating", "none", [IN_TESTING]),
        ('augmentation.flip = "random"', "random", "none", [IN_TESTING]),
        ("augmentation.shift = 2", "none", "none", [IN_TRAINING, IN_TESTING]),
        ('tta = "mirror-shift"', "none", "mirror-shift", [IN_TRAINING]),
        ('augment = "light"\ntta = "none"', "none", "none", []),
    ],
)
def test_what_the_user_gave_for_grey_images_is_kept(text, flip, tta, notes, recipe, toml):
    policy, own_tta, own_notes = mirroring(recipe, toml(text))
    assert (policy.flip, own_tta, own_notes) == (flip, tta, notes)


def test_augmentation_that_the_images_do_not_allow_is_named_with_its_file_and_their_size(toml):
    for text, words in (
        ("shift = 28", "augmentation.shift = 28: .*28 × 28 × 1. Give at most 27."),
        ("hue = 0.1", "augmentation.hue = 0.1: grey images .*28 × 28 × 1."),
    ):
        resolved = resolve_settings({"batch_size": 8}, toml(f"[augmentation]\n{text}"))
        with pytest.raises(SettingsError, match=rf"my\.toml: {words}"):
            resolved.fitted(100, GREY)
        assert resolved.fitted(100, COLOURED) == (resolved.settings, [])
