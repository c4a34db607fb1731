"""What a report says of a run beside its figures: data, settings, environment, looks, and how to have it again."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

from eyebright.errors import SettingsError
from eyebright.ledger import looks_of_data
from eyebright.presets import preset_settings
from eyebright.run_directory import RunDirectory

_SHORT = 12  # digits of a fingerprint


class Setting(NamedTuple):
    """A setting of a run.

    Attributes:
        name: of it.
        value: that the run has.
        preset: what the preset has, where that is another; else None. "–" where the preset has none.
    """

    name: str
    value: str
    preset: str | None


def settings_of(run: RunDirectory) -> list[Setting]:
    """All settings of a run, beside those of its preset that differ."""
    own = run.settings.to_dict()
    try:
        preset = preset_settings(run.settings.preset, run.settings.model).to_dict()
    except SettingsError:  # a preset of another version, which this one does not have
        preset = own
    rows = []
    for name in sorted({*own, *preset}):
        mine, its = (_words(values.get(name)) for values in (own, preset))
        rows.append(Setting(name, mine, None if mine == its else its))
    return rows


def data_of(run: RunDirectory) -> dict[str, Any]:
    """What a run was trained on, for the template."""
    data = run.data
    height, width, channels = data.image_shape
    return {
        "name": data.name,
        "fingerprint": data.fingerprint[:_SHORT],
        "class_names": data.class_names,
        "images": f"{height} × {width} pixels, {'grey' if channels == 1 else 'colour'}",
        "splits": {
            "training": data.training_images,
            "validation": data.validation_images,
            "test": data.test_images,
        },
        "fold": data.fold,
    }


def looks_at(run: RunDirectory) -> list[str]:
    """Sentences about how often the test images have been looked at: by this run, and by all runs of this user."""
    own = run.test_looks
    by_run = f"This run's models have looked at the test images {_times(own)}"
    sentence = (
        f"{by_run}, at the end of its training."
        if own == 1
        else f"{by_run}. What was chosen by these looks is better on these images than it is on others."
    )
    return [sentence, *looks_of_all(run)]


def looks_of_all(run: RunDirectory) -> list[str]:
    """A sentence about the looks of all runs of this user at the test images of the data; none of a single run's.

    The ledger may have fewer than the run noted, on another machine, say: the larger number counts.
    """
    results, ledger = run.results or {}, looks_of_data(run.data.fingerprint)
    looks = max(ledger.looks or 0, results.get("test_looks_of_data") or 0)
    runs = max(ledger.runs or 0, results.get("runs_that_looked") or 0)
    if runs < 2:
        return []
    seen = f"In all, {runs:,} runs have looked at these test images {_times(looks)}"
    return [f"{seen}: the best of them is likely to be worse on other images than it is here."]


def environment_of(run: RunDirectory) -> list[tuple[str, str]]:
    """What a run was trained with, the last place where it was, as names and values."""
    found = (run.read_record("environment.json") or {}).get("environments")
    results = run.results or {}
    if isinstance(found, list) and found and isinstance(found[-1], dict):
        record = found[-1]
    else:  # an earlier Eyebright kept no more than this
        record = {name: results.get(name) for name in ("versions", "threads", "precision")}
    rows: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {key}", _words(one)) for key, one in value.items()]
        elif name != "step":
            rows.append((name.replace("_", " "), _words(value)))
    return rows


def ways_back(run: RunDirectory) -> list[tuple[str, str]]:
    """What can be done to have the run again, with the command for it, seen from the directory that the run lies in."""
    name = run.path.resolve().name
    commands: list[tuple[str, tuple[str, ...]]] = [
        ("Verify data and settings, train again, and compare to the bit", ("reproduce", name)),
        ("Train with the same settings", ("train", "--config", f"{name}/settings.toml")),
        ("Measure the saved classifier anew (a look at the test images)", ("evaluate", name)),
        ("Write this report", ("report", name)),
    ]
    return [(what, f"eyebright {shlex.join(words)}") for what, words in commands]


def _times(count: int) -> str:
    """A number of looks.

    >>> _times(1), _times(7)
    ('once', '7 times')
    """
    return "once" if count == 1 else f"{count:,} times"


def _words(value: Any) -> str:
    """A value of a setting or a record."""
    if value is None or value == "":
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_words(one)}" for key, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
