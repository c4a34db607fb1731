"""How settings come together, in one order: the preset, over it a configuration file, over that the flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from eyebright.augmentation import Augmentation
from eyebright.errors import SettingsError, suggestion
from eyebright.settings import Settings
from eyebright.sources import FLAGS, Layer, read_layer, validated

# A preset's batch is halved until an epoch has this many steps: with fewer, small data sets hardly train.
MIN_STEPS_PER_EPOCH = 20
# But not below this: batch normalisation learns nothing from a batch of one, and little from one of two.
MIN_BATCH_SIZE = 8
# A preset that keeps a small share of much data for validation keeps at least so many images, or the usual share.
MIN_VALIDATION_IMAGES = 1000
_SEARCH = "search"  # the table of a recipe that is no setting


@dataclass(frozen=True)
class Resolved:
    """Settings, and those of them that the user gave (in a file or as a flag) rather than a preset.

    Attributes:
        settings: all of them.
        given: the layer that each of the user's comes from, by name.
    """

    settings: Settings
    given: Mapping[str, Layer]

    def fitted_to_size(self, images: int) -> tuple[Resolved, list[str]]:
        """The same with a preset's share of validation images raised where the data are few.

        Args:
            images: how many there are for training and validation together.

        Returns:
            Settings, and what was changed, in whole sentences.
        """
        share, usual = self.settings.validation, Settings.model_fields["validation"].default
        least = min(MIN_VALIDATION_IMAGES, usual * images)
        if "validation" in self.given or not 0 < share < usual or share * images >= least:
            return self, []
        raised = usual if usual * images <= MIN_VALIDATION_IMAGES else float(MIN_VALIDATION_IMAGES)
        note = f"Validation raised from the preset's {share:g} to {raised:g}: there are few images."
        return Resolved(self.settings.model_copy(update={"validation": raised}), self.given), [note]

    def fitted(self, training_images: int, image_shape: tuple[int, int, int]) -> tuple[Settings, list[str]]:
        """The settings with what a preset says fitted to the data; what the user gave is kept.

        A preset's batch size is lowered to a small training set. Grey images are not mirrored: more often than not
        they are digits or characters, and a mirrored one is another or none.

        Args:
            training_images: how many there are.
            image_shape: (height, width, channels).

        Returns:
            Settings, and what was changed, in whole sentences.

        Raises:
            SettingsError: an explicit batch size is larger than the training set, batches would be worked through in
                more parts than there are images, or an augmentation is one that the images don't allow.
        """
        settings, notes, changes = self.settings, [], dict[str, Any]()
        batch_size = self._fitting_batch_size(training_images)
        if batch_size != settings.batch_size:
            changes["batch_size"] = batch_size
            notes.append(
                f"Batch size lowered from the preset's {settings.batch_size} to {batch_size}: "
                "the training set is small."
            )
        policy = self._policy(image_shape)
        if image_shape[2] == 1:
            if policy.flip != "none" and not self._flip_is_given():
                own = settings.augmentation.model_dump(exclude_unset=True)
                changes["augmentation"] = Augmentation(**(own | {"flip": "none"}))
                notes.append("Grey images are not mirrored in training; --augment standard does it.")
            if settings.tta != "none" and "tta" not in self.given:
                changes["tta"] = "none"
                notes.append("Grey images are not mirrored in testing; --tta mirror does it.")
        return settings.model_copy(update=changes), notes

    def _policy(self, image_shape: tuple[int, int, int]) -> Augmentation:
        try:
            return self.settings.policy(image_shape)
        except SettingsError as error:
            layer = self.given.get("augmentation")
            where = f"{layer.source}: " if layer and layer.source != FLAGS else ""
            raise SettingsError(f"{where}{error}") from error

    def _flip_is_given(self) -> bool:
        table = self.settings.augmentation.model_fields_set if "augmentation" in self.given else set()
        return "augment" in self.given or "flip" in table

    def _fitting_batch_size(self, training_images: int) -> int:
        batch_size, accumulate = self.settings.batch_size, self.settings.accumulate
        if "batch_size" in self.given:
            if batch_size > training_images:
                raise SettingsError(
                    f"{self.given['batch_size'].quote('batch_size')}: larger than the training set "
                    f"({training_images:,} images). Give a smaller one."
                )
            return batch_size
        while batch_size > MIN_BATCH_SIZE and training_images // batch_size < MIN_STEPS_PER_EPOCH:
            batch_size = max(batch_size // 2, MIN_BATCH_SIZE)
        batch_size = min(batch_size, training_images)
        if accumulate > training_images:
            layer = self.given.get("accumulate", Layer(f"preset {self.settings.preset}", {"accumulate": accumulate}))
            raise SettingsError(
                f"{layer.quote('accumulate')}: more parts than there are images in the training set "
                f"({training_images:,}). Give fewer."
            )
        return max(batch_size - batch_size % accumulate, accumulate)


def preset_settings(preset: str = "default", model: str | None = None, **overrides: Any) -> Settings:
    """The settings of a preset, with some of them replaced.

    Raises:
        SettingsError: no such preset, or a setting that is unknown or out of range.

    >>> preset_settings("tutorial", seed=1).max_steps
    2000
    """
    return resolve_settings({"preset": preset, "model": model, **overrides}).settings


def resolve_settings(flags: Mapping[str, Any], config: Path | None = None) -> Resolved:
    """Settle every setting: the preset's values, over them the configuration file's, over them the flags'.

    Args:
        flags: settings by name as they were given on the command line; None means not given.
        config: a TOML file of settings, for example the `settings.toml` of a run.

    Raises:
        SettingsError: naming the file or flag, the setting, the rule, and for an unknown key the nearest known one.
    """
    given = Layer(FLAGS, {key: value for key, value in flags.items() if value is not None})
    file = read_layer(config) if config else Layer("", {})
    users = {key: layer for layer in (file, given) for key in layer.values}
    preset, preset_layer = _choose_preset(users)
    merged: dict[str, Any] = {}
    source: dict[str, Layer] = {}
    for layer in (preset_layer, file, given):
        if {"epochs", "max_steps"} & layer.values.keys():  # the two exclude each other; the later layer decides
            merged.pop("epochs", None), merged.pop("max_steps", None)
        if "augment" in layer.values:  # another policy, without the earlier one's changes
            merged.pop("augmentation", None)
        merged.update(layer.values)
        source.update(dict.fromkeys(layer.values, layer))
    merged["preset"] = preset
    return Resolved(validated(merged, source), users)


def preset_names() -> dict[str, list[str]]:
    """The presets of each model: {"fc": ["default", "tutorial"], …}."""
    names: dict[str, list[str]] = {}
    for file in sorted(entry.name for entry in _recipes().iterdir() if entry.name.endswith(".toml")):
        preset, model = file.removesuffix(".toml").rsplit("-", 1)
        names.setdefault(model, []).append(preset)
    return names


def read_preset(preset: str, model: str) -> Layer:
    """The settings of the recipe `<preset>-<model>.toml`."""
    values = _read_recipe(preset, model)
    return Layer(f"preset {preset}-{model}", {key: value for key, value in values.items() if key != _SEARCH})


def read_preset_space(preset: str, model: str) -> Layer:
    """What `eyebright tune` searches around a preset: the recipe's table `search`, or that of the model's default."""
    table = _read_recipe(preset, model).get(_SEARCH)
    if table is None:
        preset, table = "default", _read_recipe("default", model)[_SEARCH]
    return Layer(f"preset {preset}-{model}", table)


def _read_recipe(preset: str, model: str) -> dict[str, Any]:
    return tomllib.loads((_recipes() / f"{preset}-{model}.toml").read_text(encoding="utf-8"))


def _choose_preset(users: Mapping[str, Layer]) -> tuple[str, Layer]:
    """The name and values of the preset that is asked for: `tutorial` (of a model), or `tutorial-softmax`."""
    presets = preset_names()
    full = {f"{name}-{of}": (name, of) for of, names in presets.items() for name in names}
    asked, model = _text("preset", users), _text("model", users)
    if asked is None:
        asked = str(Settings.model_fields["preset"].default)
    name, named_model = full.get(asked, (asked, None))
    if model is not None and model not in presets:
        raise SettingsError(f"{users['model'].quote('model')}: no such model.{suggestion(model, presets)}")
    if named_model and model and named_model != model:
        other = users["model"].quote("model")
        known = f"Presets of {model}: {', '.join(presets[model])}."
        raise SettingsError(f"{users['preset'].quote('preset')}: is of the model {named_model}, but {other}. {known}")
    model = named_model or model or Settings.model_fields["model"].default
    if name not in presets[model]:
        of_another = any(name in names for names in presets.values())  # no misspelling: the nearest name is no help
        near = f" Known: {', '.join(presets[model])}." if of_another else suggestion(name, presets[model])
        raise SettingsError(f"{users['preset'].quote('preset')}: the model {model} has no such preset.{near}")
    layer = read_preset(name, model)
    return name, Layer(layer.source, {**layer.values, "model": model})


def _text(key: str, users: Mapping[str, Layer]) -> str | None:
    if key not in users:
        return None
    value = users[key].values[key]
    if not isinstance(value, str):
        raise SettingsError(f"{users[key].quote(key)}: input should be a valid string.")
    return value


def _recipes() -> Any:
    return resources.files("eyebright") / "recipes"
