from typing import Literal, get_args, get_origin

import pytest

from eyebright.presets import preset_names, preset_settings
from eyebright.settings import Settings
from eyebright.sources import flag

FLAGS = {name: field for name, field in Settings.model_fields.items() if name not in ("data", "augmentation")}


@pytest.fixture
def help_text(command):
    """What `train --help` says, without its spaces, as lines are broken anywhere."""
    return squeezed(command("train", "--help").out)


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize("name", FLAGS)
def test_help_describes_each_setting_with_its_default(name, help_text):
    default = getattr(preset_settings("default", model="fc"), name)
    shown = "none" if default in (None, ()) else str(default).lower() if isinstance(default, bool) else str(default)
    if isinstance(default, tuple) and default:
        shown = ",".join(map(str, default))
    before, after = help_text.split(squeezed(FLAGS[name].description))  # once, and no more
    on_off = f"{flag(name)}/--no-{name.replace('_', '-')}"
    assert on_off in before if FLAGS[name].annotation is bool else flag(name) in before[-70:]
    assert after.split("[default:")[1].startswith(f"{shown}]")


@pytest.mark.parametrize("name", FLAGS)
def test_help_lists_every_choice(name, help_text):
    choices = get_args(FLAGS[name].annotation) if get_origin(FLAGS[name].annotation) is Literal else ()
    begin = help_text.index(squeezed(FLAGS[name].description))
    near = help_text[begin - 60 : begin + 400]
    assert [choice for choice in choices if choice not in near] == []


def test_help_shows_lists_as_the_flag_takes_them(help_text):
    after = help_text.split(squeezed(FLAGS["channels"].description))[1]
    assert after.startswith("[default:64,256,256]")
    assert Settings(epochs=1, channels="64,256,256").channels == FLAGS["channels"].default


def test_a_table_is_no_flag(command, help_text):
    assert "--augmentation" not in help_text
    assert squeezed("a file's [augmentation], which sets single operations.") in help_text
    answer = command("train", "--augmentation", "shift")
    assert answer.code == 2
    assert "No such option: --augmentation" in answer.err


def test_help_lists_the_presets_of_each_model(help_text):
    for model, presets in preset_names().items():
        assert squeezed(f"{model}: {', '.join(presets)}") in help_text


def test_help_describes_data_and_what_is_no_setting(help_text):
    for words in ("[default: digits]", "--config", "--run-dir", "[default: runs/<date>-<time>-<data>-<model>]",
                  "--resume RUN_DIR", "--data-dir", "EYEBRIGHT_DATA", "--quiet", "--json"):  # fmt: skip
        assert squeezed(words) in help_text
