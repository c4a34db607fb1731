"""The command as a whole: help, version, exit codes, and what standard output may do to it."""

import errno
import json
import os
import signal

import pytest

import eyebright
import eyebright.cli

COMMANDS = (
    "train",
    "tune",
    "check",
    "find-lr",
    "evaluate",
    "report",
    "calibrate",
    "inspect",
    "robustness",
    "compare",
    "runs",
    "reproduce",
    "package",
    "export",
    "predict",
    "serve",
    "key",
    "explain",
    "plot",
    "show-batch",
    "shard",
    "tensorboard",
    "datasets",
    "cache",
)


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ()])
def test_help_names_every_command_and_where_to_begin(arguments, command):
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    listed = out.split("Commands:\n")[1]
    assert tuple(line.split()[0] for line in listed.splitlines()[: len(COMMANDS)]) == COMMANDS
    assert "eyebright train" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, command):
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: eyebright {name} ")
    assert "-h, --help" in out


def test_version(command):
    assert command("--version") == (0, f"eyebright {eyebright.__version__}\n", "")


def test_a_fault_of_our_own_is_not_hidden(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("eyebright.data.loading.data_directory", broken)
    monkeypatch.setattr("sys.argv", ["eyebright", "datasets"])
    with pytest.raises(ZeroDivisionError):  # Python prints its traceback and exits with 1
        eyebright.cli.main()


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), OSError("no number"), TimeoutError()]
)
def test_an_operating_system_error_that_is_not_of_the_output_is_not_blamed_on_it(error, monkeypatch, capsys):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("eyebright.data.loading.data_directory", broken)
    monkeypatch.setattr("sys.argv", ["eyebright", "datasets"])
    with pytest.raises(type(error)) as raised:
        eyebright.cli.main()
    assert raised.value is error
    assert capsys.readouterr().err == ""


def test_ctrl_c_before_a_run_is_one_word_and_exit_code_130(start, tmp_path):
    os.mkfifo(tmp_path / "settings.toml")
    program = start("train", "--config", tmp_path / "settings.toml")
    with (tmp_path / "settings.toml").open("wb"):  # opened as soon as the program reads
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
    assert (program.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("arguments", [("datasets",), ("train", "--help")], ids=" ".join)
def test_a_reader_who_has_seen_enough_is_no_error_to_talk_about(arguments, start):
    program = start(*arguments)
    program.stdout.close()
    program.wait(timeout=60)
    assert program.stderr.read() == ""
    assert program.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [("datasets",), ("datasets", "--json"), ("--version",)], ids=" ".join)
def test_output_that_cannot_be_written_is_an_error(arguments, start):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        program = start(*arguments, stdout=full)
        _, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (2, "Standard output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_in_another_encoding_does_not_fail_and_json_stays_json(encoding, process):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    assert json.loads(process("datasets", "--json", env=environment).out)[0]["name"] == "digits"
    code, out, err = process("datasets", env=environment, errors="replace")
    assert (code, err) == (0, "")
    assert "fashion-mnist" in out
    code, out, err = process("train", "--model", "…", env=environment)
    known = "cnn, fc, softmax, transfer"
    assert (code, out, err) == (2, "", f"SettingsError: --model \\u2026: no such model. Known: {known}.\n")


def test_closed_standard_output_is_no_error(process):
    code, _, err = process("--version", preexec_fn=lambda: os.close(1))
    assert (code, err) == (0, "")
