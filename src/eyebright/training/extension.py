"""What `--resume` does with flags that are given beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eyebright.errors import RunError
from eyebright.paths import whole_path
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings, as_tuple
from eyebright.sources import FLAGS, Layer, as_text, flag, validated
from eyebright.suggestions import command
from eyebright.training.batches import steps_per_epoch
from eyebright.training.schedule import run_length

_LENGTH = ("epochs", "max_steps")
_PLANNED_AVERAGES = ("swa", "look-ahead")  # what they do at a step depends on the length of the run


def extended_settings(run: RunDirectory, flags: Mapping[str, Any], training_images: int) -> Settings:
    """The settings to go on with: the run's own, or those of a longer run.

    Args:
        run: the run.
        flags: settings by name as they were given; None means not given.
        training_images: number of the run's training images.

    Raises:
        RunError: a flag contradicts the run, or the run cannot be made longer or shorter in the way that was asked for.
        SettingsError: a length that is out of range.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    for key, value in given.items():
        if key not in _LENGTH and not _repeats(run.settings, key, value):
            own = as_text(getattr(run.settings, key))
            raise RunError(
                f"{flag(key)} {as_text(value)}: contradicts the run {run.path}, which has {own}. Leave the flag out."
            )
    length = {key: given[key] for key in _LENGTH if key in given}
    if not length:
        return run.settings
    key, value = next(iter(length.items()))
    return _lengthened(run, f"{flag(key)} {value}", length, training_images)


def _repeats(settings: Settings, key: str, value: Any) -> bool:
    """Whether a flag is what the run was begun with, whose settings hold what that came to."""
    own = getattr(settings, key)
    if key == "precision" and value == "auto":
        return True
    if key in ("teacher", "weights"):
        return own is not None and whole_path(value) == whole_path(own)
    if key == "preset":
        return value in (own, f"{own}-{settings.model}")
    return bool(own == (as_tuple(value) if isinstance(own, tuple) else value))


def _lengthened(run: RunDirectory, asked: str, length: dict[str, int], training_images: int) -> Settings:
    settings = run.settings
    if len(length) > 1:
        raise RunError("--epochs and --max-steps exclude each other: give one of the two.")
    kept = {key: value for key, value in settings.to_dict().items() if key not in _LENGTH}
    longer = validated(kept | length, dict.fromkeys(length, Layer(FLAGS, length)))
    before, after = run_length(settings, training_images), run_length(longer, training_images)
    if after == before:
        return settings
    if after < before:
        raise RunError(f"{asked}: the run {run.path} is {before:,} steps long, and a run cannot be made shorter.")
    if run.data.fold is not None:
        raise RunError(f"{asked}: the run {run.path} is a fold of a cross-validation, whose runs are equally long.")
    go_on = f"Go on with it as it is ({command('train', '--resume', run.path)}), train anew"
    if settings.schedule != "constant":
        raise RunError(
            f"{asked}: the run {run.path} cannot be made longer, because its learning rate ({settings.schedule}) was "
            f"planned for {before:,} steps. {go_on}, or train with --schedule constant."
        )
    if settings.averaging in _PLANNED_AVERAGES:
        raise RunError(
            f"{asked}: the run {run.path} cannot be made longer, because its average of the weights "
            f"({settings.averaging}) was planned for {before:,} steps. {go_on}, or train with --averaging ema."
        )
    per_epoch = steps_per_epoch(training_images, settings.batch_size)
    if before % per_epoch and (settings.restore_best or settings.patience):
        raise RunError(
            f"{asked}: the run {run.path} cannot be made longer, because it validated at step {before:,}, amid an "
            "epoch, where a longer run would not have, and that counts for --restore-best and --patience. Train anew."
        )
    if run.results is not None and run.results["steps"] < before:
        raise RunError(f"{asked}: the run {run.path} was ended by --patience at step {run.results['steps']:,}.")
    return longer
