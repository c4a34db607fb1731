import json
import shlex
import tomllib

import pytest
from PIL import Image

FAST = ("--model", "softmax", "--batch-size", 100, "--steps", 60)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty directory, in which the command works."""
    path = tmp_path / "workplace"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_it_leaves_a_chart_and_no_run(command, workplace):
    code, out, err = command("find-lr", *FAST)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Suggested learning rate: 0.")
    assert lines[1] == "The chart is in find-lr.png. Train with the suggestion:"
    assert names_in(workplace) == ["find-lr.png"]
    with Image.open("find-lr.png") as picture:
        assert picture.format == "PNG"


def test_the_command_that_it_suggests_trains_at_that_rate_with_the_same_flags(command, workplace, toml):
    config = toml("l2 = 0.25\nlearning_rate = 7.0\n", "with space.toml")
    given = ("digits", *FAST, "--config", config, "--learning-rate", 3, "--max-steps", 4, "--restore-best")
    out = command("find-lr", *given, "-o", "chart.png").out
    rate = float(out.splitlines()[0].removeprefix("Suggested learning rate: "))
    words = shlex.split(out.splitlines()[-1])
    code, _, err = command(*words[words.index("train") :], "--run-dir", "run")
    assert (code, err) == (0, "")
    settings = tomllib.loads((workplace / "run" / "settings.toml").read_text())
    asked = ("learning_rate", "l2", "batch_size", "max_steps", "restore_best", "model")
    assert [settings[name] for name in asked] == [rate, 0.25, 100, 4, True, "softmax"]


def test_a_switch_that_was_turned_off_stays_off_in_the_command(command, workplace):
    out = command("find-lr", *FAST, "--no-restore-best").out
    assert "--no-restore-best" in shlex.split(out.splitlines()[-1])


def test_json_is_one_line_and_the_same_each_time(command, workplace):
    first, second = (command("find-lr", *FAST, "--json", "--output", "a.png") for _ in range(2))
    assert (first.code, first.out.count("\n")) == (0, 1)
    assert first.out == second.out
    outcome = json.loads(first.out)
    assert set(outcome) == {"learning_rate", "command", "chart", "learning_rates", "losses", "smoothed_losses"}
    assert outcome["chart"] == "a.png"
    assert f" --learning-rate {outcome['learning_rate']} " in outcome["command"]
    assert f"Suggested learning rate: {outcome['learning_rate']:g}\n" in first.err
    assert outcome["learning_rates"][0] == 1e-6
    assert len({len(outcome[name]) for name in ("learning_rates", "losses", "smoothed_losses")}) == 1


def test_help_lists_the_flags_of_train(command):
    out = " ".join(command("find-lr", "--help").out.split())
    for words in ("--optimizer", "--augment", "--precision", "--start", "--end", "--steps", "[default: digits]"):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", 1, "--end", 0.1), ["SettingsError: --start 1 --end 0.1", "rises from one to the other"]),
        (("--start", 0), ["--start 0", "from 1e-12 to 1e+06"]),
        (("--end", "nan"), ["--end nan"]),
        (("--end", "inf"), ["--end inf"]),
        (("--steps", 5), ["--steps", "20"]),
        (("-o", "chart.jpg"), ["--output chart.jpg", "ends in .png"]),
        (("-o", "no/chart.png"), ["--output no/chart.png", "no directory no"]),
        (("--optimizer", "adamm"), ["--optimizer adamm", "Did you mean 'adam'?"]),
        (("--batch-size", 5000), ["--batch-size 5000", "larger than the training set"]),
        (("--freeze", "hiden"), ["--freeze hiden", "no layer"]),
        (("--model", "softmax", "--end", 1e-4, "--steps", 30), ["TrainingError: ", "Give a larger --end."]),
        (("--start", 1e5, "--end", 1e6, "--optimizer", "sgd"), ["TrainingError: ", "Give a lower --start."]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_the_user_can_mend_is_one_message_and_leaves_no_file(arguments, words, command, workplace):
    code, out, err = command("find-lr", *arguments)
    assert code == 2
    assert "Suggested" not in out
    assert [word for word in words if word not in err] == []
    assert err.count("\n") == 1
    assert names_in(workplace) == []
