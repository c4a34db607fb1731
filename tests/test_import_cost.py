"""What the quick commands do not import, and that errors in the input are found before TensorFlow is loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest

# All that `--help` imports from outside the standard library, none of it large; rich, NumPy and Pillow are not here.
HELP_NEEDS = {
    "annotated_doc", "annotated_types", "eyebright", "pydantic", "pydantic_core", "shellingham", "typer",
    "typing_extensions", "typing_inspection",
}  # fmt: skip
BACKENDS = {"tensorflow", "keras", "jax", "torch"}

MODULES = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"


def imported_by(code):
    """Top-level modules from outside the standard library that some code imports in a process of its own."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{MODULES}"], capture_output=True, text=True, check=True)
    modules = {name for name in json.loads(done.stderr.splitlines()[-1]) if not name.startswith("_sysconfigdata")}
    return modules - set(sys.stdlib_module_names)


def command(*arguments):
    return (
        f"import sys; sys.argv = ['eyebright', *{[str(argument) for argument in arguments]!r}]\n"
        "from eyebright.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
    )


@pytest.fixture(scope="module")
def of_the_interpreter():
    """What an environment imports at the start of every process (for editable installs, say)."""
    return imported_by("")


def test_import_eyebright_imports_nothing_else(of_the_interpreter):
    assert imported_by("import eyebright") - of_the_interpreter == {"eyebright"}


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("--version",), ()], ids=" ".join)
def test_help_imports_what_is_stated_here_and_no_more(arguments, of_the_interpreter):
    assert imported_by(command(*arguments)) - of_the_interpreter <= HELP_NEEDS


def test_settings_are_refused_before_numpy_is_imported():
    modules = imported_by(command("train", "--learning-rate", "nan"))
    assert "pydantic" in modules
    assert "numpy" not in modules


def test_data_are_refused_before_a_backend_is_imported(tmp_path):
    np.savez(tmp_path / "floats.npz", images=np.full((9, 4, 4, 1), 0.5), labels=np.arange(9))
    modules = imported_by(command("train", tmp_path / "floats.npz"))
    assert "numpy" in modules
    assert modules & BACKENDS == set()


def test_listing_the_catalogue_needs_no_backend():
    modules = imported_by(command("datasets"))
    assert "rich" in modules
    assert modules & BACKENDS == set()


def test_what_predicts_needs_no_backend():
    modules = imported_by("import eyebright.classifier, eyebright.prediction, eyebright.uncertainty")
    assert "numpy" in modules
    assert modules & BACKENDS == set()


def test_the_command_line_leaves_out_what_keras_imports_for_others_and_it_is_there_afterwards(tmp_path, monkeypatch):
    monkeypatch.delenv("EYEBRIGHT_LEAN_IMPORTS", raising=False)  # which a command in this process may have set
    train = ("train", "digits", "--model", "softmax", "--max-steps", "1", "--run-dir")
    left_out = {"jax", "matplotlib", "pandas", "sklearn"}
    modules = imported_by(command(*train, tmp_path / "run"))
    assert "tensorflow" in modules
    assert not modules & left_out
    assert imported_by(f"{command(*train, tmp_path / 'other')}import jax, matplotlib, pandas, sklearn") >= left_out
    assert "sklearn" in imported_by("import eyebright.backend")  # in a program of somebody else's all is as it was
