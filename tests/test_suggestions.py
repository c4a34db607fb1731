import shlex
import sys
from pathlib import Path

from eyebright.suggestions import command


def test_a_suggested_command_can_be_copied(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [".venv/bin/eyebright", "train"])
    assert command("evaluate", Path("runs/two words")) == ".venv/bin/eyebright evaluate 'runs/two words'"
    monkeypatch.setattr("sys.argv", ["my venv/bin/eyebright", "train"])
    assert command("plot") == "'my venv/bin/eyebright' plot"
    monkeypatch.setattr("sys.argv", ["site-packages/eyebright/__main__.py", "train"])
    assert command("plot", "run") == f"{shlex.quote(sys.executable)} -m eyebright plot run"
    (tmp_path / "eyebright").touch(mode=0o755)
    assert command("plot", "run") == "eyebright plot run"
