import re
from importlib import resources

import pytest

from eyebright.errors import SettingsError
from eyebright.presets import (
    MIN_BATCH_SIZE,
    MIN_STEPS_PER_EPOCH,
    Resolved,
    flag,
    preset_names,
    preset_settings,
    read_layer,
    read_preset,
    resolve_settings,
)
from eyebright.settings import Settings

ALL = [(preset, model) for model, presets in preset_names().items() for preset in presets]


@pytest.fixture
def toml(tmp_path):
    """Write a settings file."""

    def write(text, name="my.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_each_model_has_the_presets_of_the_tutorial_and_a_default():
    assert preset_names() == {"fc": ["default", "tutorial"], "softmax": ["default", "tutorial"]}


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
    settings = preset_settings(preset, model=model, seed=3, learning_rate=1e-5, threads=2, clip_norm=1.5, log_steps=7)
    (tmp_path / "settings.toml").write_bytes(settings.to_toml())
    assert resolve_settings({}, tmp_path / "settings.toml").settings == settings


def refused(flags=(), file=None):
    with pytest.raises(SettingsError) as error:
        resolve_settings(dict(flags), file)
    return str(error.value)


def test_every_mistake_of_a_file_is_named_with_file_key_rule_and_value(toml):
    file = toml('learnin_rate = 1\nbatch_size = 0\ndropout = "0.5"\noptimizer = "sdg"\n')
    lines = refused(file=file).splitlines()
    optimizer = next(line for line in lines if line.startswith(f'{file}: optimizer = "sdg": input should be '))
    assert optimizer.endswith("'muon' or 'ftrl'. Did you mean 'sgd'?")
    assert set(lines) - {optimizer} == {
        f"{file}: learnin_rate: unknown setting. Did you mean 'learning_rate'?",
        f"{file}: batch_size = 0: input should be greater than or equal to 1.",
        f'{file}: dropout = "0.5": input should be a valid number.',
    }


def test_mistake_of_a_flag_is_named_as_the_flag():
    assert refused({"hidden_units": 0}) == "--hidden-units 0: input should be greater than or equal to 1."
    assert refused({"lerning_rate": 1}) == "--lerning-rate: unknown setting. Did you mean 'learning_rate'?"


def test_flag_over_a_mistake_of_the_file_mends_it(toml):
    assert resolve_settings({"dropout": 0.5}, toml("dropout = 5")).settings.dropout == 0.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"model": "fcc"}, "--model fcc: no such model. Did you mean 'fc'?"),
        ({"preset": "tutrial"}, "--preset tutrial: the model fc has no such preset. Did you mean 'tutorial'?"),
        ({"preset": "x"}, "--preset x: the model fc has no such preset. Known: default, tutorial."),
        ({"preset": ""}, "--preset : the model fc has no such preset. Known: default, tutorial."),
        (
            {"preset": "tutorial-softmax", "model": "fc"},
            "--preset tutorial-softmax: is of the model softmax, but --model fc.",
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


def test_contradiction_names_the_file_it_comes_from(toml):
    file = toml("epochs = 1\nmax_steps = 1")
    assert refused(file=file) == f"{file}: give either epochs or max_steps, one of the two."


def test_contradiction_of_a_setting_names_where_that_came_from(toml):
    end = "the softmax model has no hidden layers."
    assert refused({"model": "softmax", "hidden_units": 2}) == f"--hidden-units: {end}"
    file = toml("layers = 2")
    assert refused({"model": "softmax"}, file) == f"{file}: layers: {end}"


@pytest.mark.parametrize("text", ["a", "a = [", "a = 1\na = 2", "a = " + "[" * 9999, "a = " + "9" * 9999])
def test_file_that_is_no_toml(text, toml):
    file = toml(text)
    with pytest.raises(SettingsError, match=r"my\.toml: no valid TOML: "):
        read_layer(file)


def test_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbfepochs = 3\n")
    assert read_layer(tmp_path / "my.toml").values == {"epochs": 3}


def test_value_is_quoted_as_it_was_written_and_shortened(toml):
    assert read_layer(toml('data = "a\\"b"')).quote("data").endswith('my.toml: data = "a\\"b"')
    assert len(read_layer(toml(f'data = "{"é" * 999}"', "m.toml")).quote("data").split(" = ")[1]) == 61


@pytest.mark.parametrize("name", Settings.model_fields)
def test_flag_is_the_settings_name_with_hyphens(name):
    assert flag(name) == "--" + "-".join(name.split("_"))


@pytest.mark.parametrize("images", [1, 2, 7, 8, 9, 100, 159, 160, 161, 1294, 5119, 5120, 45_000])
def test_batch_size_of_a_preset_is_lowered_until_an_epoch_has_enough_steps(images):
    largest = 256
    resolved = Resolved(preset_settings(batch_size=largest), given={})
    size = resolved.fitted(images).batch_size
    assert 1 <= size <= images
    assert size == min(images, largest) or largest % size == 0
    enough = images // size >= MIN_STEPS_PER_EPOCH
    assert enough or size <= MIN_BATCH_SIZE
    if size < largest and size >= MIN_BATCH_SIZE:  # no smaller than it must be
        assert images // min(2 * size, largest) < MIN_STEPS_PER_EPOCH
    assert resolved.fitted(images) == resolved.settings.model_copy(update={"batch_size": size})


def test_batch_size_that_was_given_is_kept_or_refused(toml):
    file = toml("batch_size = 50")
    for resolved, quote in (
        (resolve_settings({"batch_size": 50}), "--batch-size 50"),
        (resolve_settings({}, file), f"{file}: batch_size = 50"),
    ):
        assert resolved.fitted(50).batch_size == 50
        with pytest.raises(SettingsError, match=re.escape(f"{quote}: larger than the training set (49 images)")):
            resolved.fitted(49)
