"""What is settled, or refused, before a run has a directory; by the way that people take, `train`."""

import pytest

from eyebright.backend import available_threads
from eyebright.errors import RunError, SettingsError
from eyebright.run_directory import RunDirectory
from eyebright.training.trainer import train


def test_threads_and_precision_are_settled_before_the_first_step(dataset, make_settings, tmp_path):
    train(make_settings(precision="auto"), dataset, tmp_path / "run")
    settings = RunDirectory.open(tmp_path / "run").settings
    assert settings.threads == available_threads()
    assert settings.precision == "float32"


def test_a_batch_larger_than_the_training_set_is_refused_before_anything_is_made(dataset, make_settings, tmp_path):
    with pytest.raises(SettingsError, match=r"--batch-size 101: larger than the training set \(100 images\)"):
        train(make_settings(batch_size=101), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_threads_that_this_process_cannot_have_any_more_are_refused_before_anything_is_made(
    dataset, make_settings, tmp_path
):
    others = available_threads() + 1
    with pytest.raises(RunError, match=f"--threads {others}"):
        train(make_settings(threads=others), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("hiden_1",),
            r"--freeze hiden_1: no layer of this model is called so\. Layers with weights: hidden_1, logits\.",
        ),
        (("hidden_1", "block_*"), r"--freeze block_\*: no layer"),
        (("*",), r"--freeze \*: no layer is left to train"),
        (("hidden_1", "logits"), r"--freeze hidden_1,logits: no layer is left to train"),
    ],
)
def test_layers_that_cannot_be_frozen_are_refused_before_anything_is_made(
    names, message, dataset, make_settings, tmp_path
):
    with pytest.raises(SettingsError, match=message):
        train(make_settings(freeze=names), dataset, tmp_path / "run")
    assert not list(tmp_path.iterdir())
