import pytest

from eyebright.errors import SettingsError
from eyebright.settings import Settings
from eyebright.sources import FLAGS, Layer, as_text, flag, read_layer, validated


def refused(layer):
    values = {"epochs": 1, **layer.values}
    with pytest.raises(SettingsError) as error:
        validated(values, dict.fromkeys(layer.values, layer))
    return str(error.value)


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


@pytest.mark.parametrize(
    ("value", "shown"), [('[64, "x"]', '[64, "x"]'), ("true", "true"), ("nan", "nan"), ("{a = 1}", '{"a": 1}')]
)
def test_value_that_is_no_text_is_quoted_as_toml_has_it(value, shown, toml):
    assert read_layer(toml(f"seed = {value}")).quote("seed").endswith(f"my.toml: seed = {shown}")


@pytest.mark.parametrize("names", [("hidden_1", "block_*"), ("output",), ()])
def test_list_as_text_is_what_its_flag_takes(names):
    assert Settings(epochs=1, freeze=as_text(names)).freeze == names


def test_every_mistake_of_a_file_is_named_with_file_key_rule_and_value(toml):
    file = toml('learnin_rate = 1\nbatch_size = 0\ndropout = "0.5"\noptimizer = "sdg"\nchannels = 64\n')
    lines = refused(read_layer(file)).splitlines()
    optimizer = next(line for line in lines if line.startswith(f'{file}: optimizer = "sdg": input should be '))
    assert optimizer.endswith("'muon' or 'ftrl'. Did you mean 'sgd'?")
    assert set(lines) - {optimizer} == {
        f"{file}: learnin_rate: unknown setting. Did you mean 'learning_rate'?",
        f"{file}: batch_size = 0: input should be greater than or equal to 1.",
        f'{file}: dropout = "0.5": input should be a valid number.',
        f"{file}: channels = 64: input should be a list.",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_units": 0}, "--hidden-units 0: input should be greater than or equal to 1."),
        ({"lerning_rate": 1}, "--lerning-rate: unknown setting. Did you mean 'learning_rate'?"),
        ({"channels": "64,x"}, "--channels 64,x: input should be a valid integer."),
        ({"channels": "64,,9"}, "--channels 64,,9: input should be a valid integer."),
        ({"channels": "0,0"}, "--channels 0,0: input should be greater than or equal to 1."),
        ({"channels": (8, 0)}, "--channels 8,0: input should be greater than or equal to 1."),
        ({"channels": "none"}, "--channels none: give at least one number."),
        ({"freeze": "a,"}, "--freeze a,: string should have at least 1 character."),
    ],
)
def test_mistake_of_a_flag_is_named_as_the_flag(values, message):
    assert refused(Layer(FLAGS, values)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels = []", "channels = []: give at least one number."),
        ("channels = [64, 0, 0]", "channels = [64, 0, 0]: input should be greater than or equal to 1."),
        ('freeze = "a,"', 'freeze = "a,": string should have at least 1 character.'),
        ("freeze = [1]", "freeze = [1]: input should be a valid string."),
        ("augmentation.shfit = 1", "augmentation.shfit: unknown setting. Did you mean 'shift'?"),
        ("augmentation.shift = -1", "augmentation.shift = -1: input should be greater than or equal to 0."),
        ('augmentation.shift = "2"', 'augmentation.shift = "2": input should be a valid integer.'),
        ("augmentation.crop = 0.0", "augmentation.crop = 0.0: input should be greater than 0."),
        (
            'augmentation.flip = "radnom"',
            "augmentation.flip = \"radnom\": input should be 'none', 'random' or 'alternating'. Did you mean 'random'?",
        ),
        ("augmentation = 3", "augmentation = 3: input should be a table of settings."),
        ('augmentation = "strong"', 'augmentation = "strong": input should be a table of settings.'),
        ("[[augmentation]]\nshift = 2", 'augmentation = [{"shift": 2}]: input should be a table of settings.'),
    ],
)
def test_mistake_in_a_list_or_table_of_a_file_is_named_with_its_key(text, message, toml):
    file = toml(text)
    assert refused(read_layer(file)) == f"{file}: {message}"


def test_every_mistake_of_a_table_is_named(toml):
    """A setting that slipped into the table is answered with those that it can hold."""
    file = toml("[augmentation]\nshift = 2\ncutout = -1\ncheckpoint_steps = 9\n")
    cutout, unknown = refused(read_layer(file)).splitlines()
    assert cutout == f"{file}: augmentation.cutout = -1: input should be greater than or equal to 0."
    assert unknown.startswith(f"{file}: augmentation.checkpoint_steps: unknown setting. Known: flip, shift, rotate, ")


def test_contradiction_names_the_file_it_comes_from(toml):
    file = toml("epochs = 1\nmax_steps = 1")
    assert refused(read_layer(file)) == f"{file}: give either epochs or max_steps, one of the two."


def test_contradiction_of_a_setting_names_where_that_came_from(toml):
    end = "the softmax model has no such setting."
    assert refused(Layer(FLAGS, {"model": "softmax", "hidden_units": 2})) == f"--hidden-units: {end}"
    file = toml('layers = 2\nmodel = "softmax"')
    assert refused(read_layer(file)) == f"{file}: layers: {end}"
    end = "7 parts do not divide a batch of 9; give a divisor of it."
    assert refused(Layer(FLAGS, {"accumulate": 7, "batch_size": 9})) == f"--accumulate: {end}"
