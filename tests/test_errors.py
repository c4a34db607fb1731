import inspect
import pickle
import re
import signal

import pytest

from eyebright import errors
from eyebright.errors import EyebrightError, MissingExtraError, TrainingInterrupted, suggestion

CLASSES = {name: cls for name, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__}


def drawn_tree():
    """(name, name of its parent) of each class in the docstring's drawing."""
    above = []
    for line in errors.__doc__.splitlines():
        if match := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            yield match[2], above[depth - 1] if depth else "Exception"


def test_drawn_tree_is_the_real_one():
    real = {(name, cls.__base__.__name__) for name, cls in CLASSES.items()}
    assert set(drawn_tree()) == real


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_error_is_of_the_family_and_documented(cls):
    assert issubclass(cls, EyebrightError)
    assert cls.__doc__


def test_user_errors_exit_with_2_and_interrupts_as_shells_have_it():
    assert errors.DataError("x").exit_code == 2
    assert TrainingInterrupted("x", signal.SIGINT).exit_code == 130
    assert TrainingInterrupted("x", signal.SIGTERM).exit_code == 143
    assert EyebrightError.exit_code == 2


def test_missing_extra_says_the_line_that_installs_it():
    assert "pip install 'eyebright[train]'" in str(MissingExtraError("Training", "train"))


def test_suggestion_is_the_nearest_name_or_all_of_them():
    assert suggestion("softmaks", ["fc", "softmax"]) == " Did you mean 'softmax'?"
    assert suggestion("", ["fc", "softmax"]) == " Known: fc, softmax."
    assert suggestion("softMAX", iter(["fc", "SoftMax"])) == " Did you mean 'SoftMax'?"


@pytest.mark.parametrize("error", [MissingExtraError("Training", "train"), TrainingInterrupted("stopped", 15)])
def test_errors_with_arguments_of_their_own_survive_the_way_to_another_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.exit_code) == (str(error), error.exit_code)
