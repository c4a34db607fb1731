import pytest

from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import RunError, SettingsError
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.training.extension import extended_settings

IMAGES = 100  # ten batches of ten


@pytest.fixture
def make_run(dataset: Dataset, make_settings, tmp_path):
    """A run that was begun with these settings."""

    def make(**given):
        settings = make_settings(**given)
        return RunDirectory.create(
            tmp_path / "run", settings, DataRecord.of(dataset, split_dataset(dataset, **settings.split))
        )

    return make


def test_without_flags_a_run_goes_on_as_it_is(make_run):
    run = make_run()
    assert extended_settings(run, {}, IMAGES) == run.settings
    assert extended_settings(run, {"epochs": None, "seed": None}, IMAGES) == run.settings


def test_flags_that_repeat_the_run_are_taken(make_run):
    run = make_run(learning_rate=0.002)
    flags = {"epochs": 3, "learning_rate": 0.002, "precision": "auto", "optimizer": "sgd", "batch_norm": False}
    assert extended_settings(run, flags, IMAGES) == run.settings


@pytest.mark.parametrize("preset", ["default", "default-fc"])
def test_a_preset_may_be_repeated_with_its_model(preset, make_run):
    run = make_run()
    assert extended_settings(run, {"preset": preset}, IMAGES) == run.settings


@pytest.mark.parametrize(
    "flags",
    [
        {"freeze": "hidden_1,block_*"},
        {"freeze": " hidden_1, block_*", "channels": "64,256,256"},
        {"freeze": ("hidden_1", "block_*"), "channels": "64, 256,256"},
    ],
)
def test_lists_that_repeat_the_run_are_taken_in_any_writing(flags, make_run):
    run = make_run(freeze="hidden_1,block_*")
    assert extended_settings(run, flags, IMAGES) == run.settings


@pytest.mark.parametrize("nothing", ["", "none"])
def test_an_empty_list_that_repeats_the_run_is_taken(nothing, make_run):
    run = make_run()
    assert extended_settings(run, {"freeze": nothing}, IMAGES) == run.settings


@pytest.mark.parametrize(
    ("flag", "value", "own"),
    [
        ("learning_rate", 0.5, "0.001"),
        ("seed", 1, "0"),
        ("hidden_units", 9, "8"),
        ("precision", "bfloat16", "float32"),
        ("schedule", "cosine", "constant"),
        ("clip_norm", 1.0, "none"),
        ("batch_norm", True, "false"),
        ("channels", "64,256", "64,256,256"),
        ("channels", "64,x", "64,256,256"),
        ("freeze", "hidden_1", "none"),
        ("teacher", "runs/best", "none"),
        ("augment", "light", "none"),
        ("tta", "mirror", "none"),
        ("accumulate", 2, "1"),
        ("averaging", "ema", "none"),
        ("checkpoint_steps", 7, "5"),
        ("validation", 0.2, "0.1"),
        ("preset", "tutorial", "default"),
        ("preset", "default-softmax", "default"),
    ],
)
def test_a_flag_that_contradicts_the_run_is_refused_with_both_values(flag, value, own, make_run):
    run = make_run()
    given = "true" if value is True else value
    expected = (
        f"--{flag.replace('_', '-')} {given}: contradicts the run {run.path}, which has {own}. Leave the flag out."
    )
    with pytest.raises(RunError) as error:
        extended_settings(run, {flag: value}, IMAGES)
    assert str(error.value) == expected


def test_a_longer_run_has_its_new_length_and_is_the_same_otherwise(make_run):
    run = make_run(epochs=3)
    assert extended_settings(run, {"epochs": 5}, IMAGES) == run.settings.model_copy(update={"epochs": 5})
    in_steps = extended_settings(run, {"max_steps": 31}, IMAGES)
    assert (in_steps.max_steps, in_steps.epochs) == (31, None)


def test_the_same_length_in_other_words_leaves_the_settings_alone(make_run):
    run = make_run(epochs=3)
    assert extended_settings(run, {"max_steps": 30}, IMAGES) == run.settings


def test_a_shorter_run_is_refused(make_run):
    with pytest.raises(
        RunError, match=r"--max-steps 29: the run .* is 30 steps long, and a run cannot be made shorter"
    ):
        extended_settings(make_run(epochs=3), {"max_steps": 29}, IMAGES)


@pytest.mark.parametrize("length", [0, -4])
def test_a_length_that_is_none_is_refused(length, make_run):
    with pytest.raises(SettingsError, match=f"--epochs {length}: input should be greater than or equal to 1"):
        extended_settings(make_run(), {"epochs": length}, IMAGES)


def test_both_lengths_at_once_are_refused(make_run):
    with pytest.raises(RunError, match="--epochs and --max-steps exclude each other"):
        extended_settings(make_run(), {"epochs": 4, "max_steps": 40}, IMAGES)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "step", "linear", "triangular"])
def test_a_schedule_that_was_planned_for_the_length_is_refused_with_the_reason(schedule, make_run):
    reason = rf"cannot be made longer, because its learning rate \({schedule}\) was planned for 30 steps"
    with pytest.raises(RunError, match=rf"--epochs 4: the run .* {reason}"):
        extended_settings(make_run(schedule=schedule), {"epochs": 4}, IMAGES)


@pytest.mark.parametrize("averaging", ["swa", "look-ahead"])
def test_an_average_that_was_planned_for_the_length_is_refused_with_the_reason(averaging, make_run):
    reason = rf"cannot be made longer, because its average of the weights \({averaging}\) was planned for 30 steps"
    with pytest.raises(RunError, match=rf"--epochs 4: the run .* {reason}"):
        extended_settings(make_run(averaging=averaging), {"epochs": 4}, IMAGES)


def test_a_longer_run_keeps_its_lists_and_single_operations(make_run):
    """But for its length it is the run that it was, what was switched off in its augmentation included."""
    table = {"flip": "none", "shift": 1}
    run = make_run(freeze="hidden_1", augment="standard", augmentation=table, averaging="ema", accumulate=2)
    longer = extended_settings(run, {"epochs": 5, "freeze": "hidden_1"}, IMAGES)
    assert longer == run.settings.model_copy(update={"epochs": 5})
    assert longer.augmentation.model_dump(exclude_unset=True) == table
    assert longer.policy((8, 8, 1)).flip == "none"


def test_warm_up_alone_does_not_stand_in_the_way(make_run):
    assert extended_settings(make_run(warmup_steps=5), {"epochs": 4}, IMAGES).epochs == 4


def test_a_run_that_patience_ended_is_refused(make_run):
    run = make_run(patience=1)
    run.write_results({"steps": 20})
    with pytest.raises(RunError, match=r"--epochs 4: the run .* was ended by --patience at step 20"):
        extended_settings(run, {"epochs": 4}, IMAGES)


@pytest.mark.parametrize("choice", [{"restore_best": True}, {"patience": 5}])
def test_a_choice_that_saw_a_validation_amid_an_epoch_is_refused_with_the_reason(choice, make_run):
    """A run that was longer from the start would not have validated there, and might have chosen otherwise."""
    with pytest.raises(
        RunError, match=r"--max-steps 40: the run .* cannot be made longer, because it validated at step 25"
    ):
        extended_settings(make_run(max_steps=25, **choice), {"max_steps": 40}, IMAGES)


@pytest.mark.parametrize("choice", [{"restore_best": True}, {"patience": 5}])
def test_a_choice_that_saw_validations_at_the_ends_of_epochs_can_be_made_longer(choice, make_run):
    assert extended_settings(make_run(max_steps=20, **choice), {"max_steps": 40}, IMAGES).max_steps == 40


def test_a_length_out_of_range_is_refused(make_run):
    with pytest.raises(SettingsError, match="--max-steps 1000000000000: input should be less than 2147483648"):
        extended_settings(make_run(), {"max_steps": 10**12}, IMAGES)
