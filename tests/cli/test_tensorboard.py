import signal
import socket
import urllib.request


def test_it_shows_the_runs_until_ctrl_c(finished, start):
    program = start("tensorboard", finished.path.parent, "--port", 0)
    address = next(line for line in program.stderr if "http://" in line).split("http://")[1].split()[0]
    assert address.startswith("127.0.0.1:")
    with urllib.request.urlopen(f"http://{address}data/runs", timeout=60) as answer:
        assert finished.path.name in answer.read().decode()
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_an_error(finished, process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = process("tensorboard", finished.path, "--port", port)
    assert code == 2
    assert str(port) in err
    assert "Traceback" not in err


def test_a_directory_that_is_not_there_is_named(tmp_path, command):
    code, out, err = command("tensorboard", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert err == (
        f"RunError: {tmp_path / 'runs'}: there is no such directory. Train something first, or name where the runs "
        "are.\n"
    )


def test_a_port_that_there_is_not_is_refused(tmp_path, command):
    code, out, err = command("tensorboard", tmp_path, "--port", 70_000)
    assert (code, out) == (2, "")
    assert "--port" in err
