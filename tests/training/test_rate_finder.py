import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from eyebright.augmentation import Augmentation
from eyebright.errors import SettingsError, TrainingError
from eyebright.metrics.scores import log_loss
from eyebright.training.rate_finder import find_learning_rate, smooth, suggest

ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "batch_norm": True, "preprocessing": "per-channel"}
EVERYTHING = {
    **ADAMW, "dropout": 0.3, "label_smoothing": 0.1, "l2": 0.01, "class_weights": "balanced", "accumulate": 2,
    "augmentation": Augmentation(shift=2, cutout=3, mixup=0.5),
}  # fmt: skip


def curve(lowest, last=99, steps=100):
    """Rates from 1e-6 to 10, and losses that are lowest at the step `lowest`, as far as the step `last`."""
    numbers = np.arange(steps)
    losses = 1 + (numbers - lowest) ** 2 / 400
    return np.geomspace(1e-6, 10, steps), losses[: last + 1]


def suggestion(learning_rates, losses):
    return suggest(learning_rates, losses, smooth(losses, len(learning_rates)))


@pytest.mark.parametrize("with_teacher", [False, True], ids=["labels", "teacher"])
def test_losses_are_those_of_the_run_at_the_same_rates(with_teacher, make_run, make_settings, read_figures, dataset):
    """At rates too low to change a float32, a whole test and a whole run compute the same."""
    teacher = {"teacher": str(make_run().path)} if with_teacher else {}
    given = {**EVERYTHING, **teacher, "seed": 3}
    rows = read_figures(make_run(**given, learning_rate=1e-12, log_steps=1).path)
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    test = find_learning_rate(make_settings(**given), dataset, start=1e-12, end=10.0, steps=200)
    assert len(losses) == 30
    np.testing.assert_allclose(test.losses[:30], losses, rtol=1e-5)


@pytest.mark.parametrize("given", [{"preprocessing": "per-channel"}, ADAMW], ids=["sgd", "adamw"])
def test_training_at_the_suggestion_is_better_than_far_from_it(given, make_settings, make_training, dataset):
    rate = find_learning_rate(make_settings(**given), dataset).suggestion
    validation, losses = dataset.splits["validation"], []
    for factor in (1 / 30, 1, 30):
        training = make_training(**given)
        training.train(0, 30, rate * factor)
        losses.append(log_loss(dataset.labels[validation], training.engine.logits(validation)))
    assert losses[1] < 0.7 * np.nanmin([losses[0], losses[2]]), (rate, losses)


def test_the_same_seed_gives_the_same_answer_to_the_bit_and_another_seed_other_losses(make_settings, dataset):
    one, again, other = (find_learning_rate(make_settings(**EVERYTHING, seed=s), dataset) for s in (1, 1, 2))
    assert one.losses.tobytes() == again.losses.tobytes()
    assert one.suggestion == again.suggestion
    assert one.losses[0] != other.losses[0]


def test_validation_and_test_images_have_no_part_in_it(make_settings, dataset, other_dataset):
    settings, held_out = make_settings(**EVERYTHING), np.arange(100, 150)
    images, labels = dataset.images.copy(), dataset.labels.copy()
    images[held_out], labels[held_out] = other_dataset.images[held_out], 2 - labels[held_out]
    changed = find_learning_rate(settings, replace(dataset, images=images, labels=labels))
    assert changed.losses.tobytes() == find_learning_rate(settings, dataset).losses.tobytes()


def test_learning_rate_schedule_length_and_averaging_have_no_part_in_it(make_settings, dataset):
    plain = find_learning_rate(make_settings(**ADAMW), dataset)
    other = make_settings(
        **ADAMW, learning_rate=5.0, schedule="one-cycle", warmup_steps=9, max_steps=2, averaging="look-ahead"
    )
    assert find_learning_rate(other, dataset).losses.tobytes() == plain.losses.tobytes()


def test_rates_rise_by_one_factor_until_the_loss_diverges(make_settings, dataset):
    test = find_learning_rate(make_settings(), dataset, start=1e-5, end=1e5, steps=50)
    np.testing.assert_allclose(np.diff(np.log10(test.learning_rates)), 10 / 49)
    assert test.learning_rates[0] == 1e-5
    assert test.learning_rates[-1] < 1e4
    assert test.losses.shape == test.smoothed_losses.shape == test.learning_rates.shape
    assert np.isfinite(test.losses).all()
    assert test.smoothed_losses.max() < 100 * test.smoothed_losses[0]


def test_a_terminal_shows_how_far_it_is(make_settings, dataset):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    find_learning_rate(make_settings(), dataset, steps=40, console=console)
    assert "/40" in console.file.getvalue()


def test_a_batch_larger_than_the_training_set_is_an_error(make_settings, dataset):
    with pytest.raises(SettingsError, match="--batch-size 101: larger than the training set"):
        find_learning_rate(make_settings(batch_size=101), dataset)


def test_smoothing_is_a_mean_that_looks_both_ways():
    np.testing.assert_allclose(smooth(np.full(30, 2.5), 100), 2.5)
    line = np.arange(100.0)
    np.testing.assert_allclose(smooth(line, 100)[10:-10], line[10:-10])
    peak = smooth(np.eye(101)[50], 100)
    assert peak.argmax() == 50
    np.testing.assert_allclose(peak, peak[::-1])
    shares = [math.exp(-0.5 * (k / 2) ** 2) for k in range(-50, 51)]  # a standard deviation of two steps of a hundred
    assert peak[50] == pytest.approx(1 / sum(shares))


@pytest.mark.parametrize("last", [99, 75], ids=["to the end", "diverged"])
def test_the_suggestion_is_a_third_of_the_rate_of_the_lowest_loss_in_two_digits(last):
    learning_rates, losses = curve(60, last)
    assert suggestion(learning_rates, losses) == float(f"{learning_rates[60] / 3:.1e}")


def test_one_lucky_batch_is_not_the_lowest_loss():
    learning_rates, losses = curve(60)
    losses[30] -= 2.5
    assert losses.argmin() == 30
    assert suggestion(learning_rates, losses) == float(f"{learning_rates[60] / 3:.1e}")


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (curve(-5, last=20)[1], "does not fall before it diverges, from 1e-06 on. Give a lower --start"),
        (np.empty(0), "does not fall before it diverges, from 1e-06 on. Give a lower --start"),
        (
            2.3 + np.random.default_rng(0).normal(0, 0.1, 100),
            "falls at no learning rate from 1e-06 to 10. Give a lower --start or a larger --end",
        ),
        (curve(99)[1], "still falls at the last learning rate, 10. Give a larger --end"),
    ],
    ids=["rises at once", "no number at once", "noise", "falls to the end"],
)
def test_without_a_lowest_loss_nothing_is_suggested(losses, words):
    with pytest.raises(TrainingError) as error:
        suggestion(np.geomspace(1e-6, 10, 100), losses)
    assert words in str(error.value)
