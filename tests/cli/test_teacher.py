import tomllib

TINY = ("--model", "softmax", "--max-steps", 3, "--batch-size", 50)


def test_teacher_is_found_again_from_another_directory(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("train", "digits", *TINY, "--run-dir", "teacher").code == 0
    assert command("train", "digits", *TINY, "--teacher", "teacher", "--run-dir", "student").code == 0
    settings = tomllib.loads((tmp_path / "student" / "settings.toml").read_text())
    assert settings["teacher"] == str(tmp_path / "teacher")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command("train", "--resume", "../student", "--teacher", "../teacher").code == 0
    other = command("train", "--resume", "../student", "--teacher", "../student")
    assert other.code == 2
    assert "contradicts the run" in other.err
