import os
import platform
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import eyebright
from eyebright.backend import available_threads, set_threads, tf, versions
from eyebright.errors import RunError


def process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(("asked", "computes"), [("", "tensorflow"), ("tensorflow", "tensorflow"), ("jax", "jax")])
def test_keras_computes_on_what_the_environment_says_and_nothing_is_logged(asked, computes):
    # TensorFlow writes to standard error at its import. What comes after is to be seen.
    done = process(
        "import eyebright.backend as b, os; os.write(2, b'seen'); print(b.keras.config.backend())", KERAS_BACKEND=asked
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{computes}\n", "seen")


def test_another_backend_is_refused():
    done = process(
        "from eyebright.errors import SettingsError\n"
        "try: import eyebright.backend\n"
        "except SettingsError as error: print(error)",
        KERAS_BACKEND="torch",
    )
    assert re.search("KERAS_BACKEND=torch.*tensorflow or jax", done.stdout), done


def test_without_tensorflow_it_is_jax():
    done = process(
        "import sys; sys.modules['tensorflow'] = None\nimport eyebright.backend as b; print(b.BACKEND)",
        KERAS_BACKEND="",
    )
    assert done.stdout == "jax\n", done


def test_a_missing_library_is_said_in_one_line():
    done = process(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'tensorflow': raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing)\n"
        "from eyebright.errors import MissingExtraError\n"
        "try: import eyebright.backend\n"
        "except MissingExtraError as error: print(error)"
    )
    assert re.fullmatch(r"Training and evaluation .*pip install 'eyebright\[train\]'\n", done.stdout), done


def test_a_library_that_is_there_and_broken_is_not_called_missing_and_what_it_wrote_is_shown(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os; os.write(2, b'native text\\n'); raise ImportError('GLIBCXX_9 not found')"
    )
    done = process("import eyebright.backend", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("native text\nTraceback")
    assert "GLIBCXX_9 not found" in done.stderr
    assert "pip install" not in done.stderr


def test_a_library_that_lacks_one_of_its_own_is_not_called_missing(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import a_module_that_there_is_not")
    done = process("import eyebright.backend", PYTHONPATH=str(tmp_path))
    assert "No module named 'a_module_that_there_is_not'" in done.stderr
    assert "pip install" not in done.stderr


def test_standard_error_may_be_closed():
    code = "import sys, eyebright.backend; print(sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False, preexec_fn=lambda: os.close(2)
    )
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_versions_are_those_of_what_computes():
    assert versions() == {
        "eyebright": eyebright.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_threads_are_those_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert available_threads() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_threads_cannot_change_in_a_process():
    set_threads(available_threads())
    _ = tf.constant(1.0) + 1.0  # now they are fixed
    set_threads(available_threads())
    other = available_threads() + 1
    with pytest.raises(RunError, match=f"--threads {other}: this process already computes with {other - 1} threads"):
        set_threads(other)


def test_operations_give_the_same_bits_each_time():
    set_threads(available_threads())
    with pytest.raises(RuntimeError, match=r"[Dd]eterminism"):  # then TensorFlow refuses random numbers without a seed
        tf.random.normal([2])
