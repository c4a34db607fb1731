"""The names that `from eyebright import …` offers."""

import importlib
import pickle
import subprocess
import sys

import pytest

import eyebright

PUBLIC = [
    "Classifier",
    "CrossValidation",
    "Dataset",
    "EyebrightError",
    "Run",
    "Search",
    "SearchSpace",
    "Settings",
    "SeveralSeeds",
    "abstention_threshold",
    "calibrate",
    "class_sets",
    "cross_validate",
    "evaluate",
    "explain",
    "load_dataset",
    "preset_settings",
    "resume",
    "resume_cross_validation",
    "resume_seeds",
    "resume_tuning",
    "train",
    "train_seeds",
    "tune",
    "unlike_training",
]


def test_public_names_are_these():
    assert eyebright.__all__ == PUBLIC
    assert dir(eyebright) == sorted([*PUBLIC, "__version__"])


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_the_one_of_its_home(name):
    value = getattr(eyebright, name)
    assert value is getattr(importlib.import_module(eyebright._HOMES[name]), name)
    assert value.__doc__


def test_star_import_offers_the_public_names():
    names = {}
    exec("from eyebright import *", names)
    assert set(PUBLIC) <= names.keys()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = eyebright.Trainer
    with pytest.raises(ImportError, match="Trainer"):
        exec("from eyebright import Trainer")


def test_errors_survive_the_way_to_another_process():
    from eyebright.errors import DataError

    error = pickle.loads(pickle.dumps(DataError("cat.jpg: truncated")))
    assert isinstance(error, eyebright.EyebrightError)
    assert str(error) == "cat.jpg: truncated"


@pytest.mark.parametrize("start", [["-m", "eyebright"], ["-c", "from eyebright.cli import main; main()"]])
def test_python_m_eyebright_is_the_command(start):
    done = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"eyebright {eyebright.__version__}\n", "")
