import pytest
from pydantic import ValidationError

from eyebright.models import MODELS, Architecture, build_model
from eyebright.presets import preset_names, preset_settings
from eyebright.settings import Model, Settings

FC = {"model": "fc", "image_shape": (8, 8, 1), "classes": 10, "preprocessing": "mean-image"}


def test_every_model_that_the_settings_name_is_there():
    assert set(MODELS) == set(Model.__args__)


@pytest.mark.parametrize(
    ("model", "preset"), [(model, preset) for model, presets in preset_names().items() for preset in presets]
)
def test_architecture_takes_the_shape_from_the_settings_and_nothing_else(model, preset):
    settings = preset_settings(preset, model=model)
    architecture = Architecture.of(settings, (28, 28, 1), 7)
    assert (architecture.image_shape, architecture.classes) == ((28, 28, 1), 7)
    others = {"image_shape", "classes", "backbone", *({"preprocessing"} if model == "transfer" else ())}
    for name in Architecture.model_fields.keys() - others:
        assert getattr(architecture, name) == getattr(settings, name)


def test_a_setting_of_the_shape_has_one_default():
    shared = Architecture.model_fields.keys() & Settings.model_fields.keys() - {"model", "preprocessing", "backbone"}
    assert shared
    for name in shared:
        assert Architecture.model_fields[name].default == Settings.model_fields[name].default


def test_architecture_survives_json():
    architecture = Architecture(**FC, layers=3, hidden_units=9, activation="gelu", batch_norm=True, dropout=0.25)
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "resnet"}, {"classes": 1}, {"image_shape": (8, 8)}, {"image_shape": (0, 8, 1)}, {"layers": 0},
        {"hidden_units": 0}, {"activation": "magic"}, {"preprocessing": "magic"}, {"depth": 3}, {"channels": (8, 0)},
        {"backbone": "mobilenet-v2"}, {"backbone": "resnet"},
    ],
    ids=str,
)  # fmt: skip
def test_a_shape_that_no_model_has_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Architecture(**{**FC, **wrong})


def test_build_model_builds_what_the_architecture_names():
    assert build_model(Architecture(**FC)).name == "fully_connected"
    assert build_model(Architecture(**{**FC, "model": "softmax"})).name == "softmax"
    assert build_model(Architecture(**{**FC, "model": "cnn"})).name == "convolutional"
    assert build_model(Architecture(**TRANSFER)).name == "transfer"


TRANSFER = {**FC, "model": "transfer", "preprocessing": "none", "backbone": Architecture(**FC)}


def test_a_backbone_is_that_which_the_settings_name_or_the_one_that_is_given():
    settings = preset_settings("default", model="transfer")
    assert Architecture.of(settings, (8, 8, 1), 3).backbone == "mobilenet-v3-small"
    named = settings.model_copy(update={"backbone": "resnet-50-v2"})
    assert Architecture.of(named, (8, 8, 1), 3).backbone == "resnet-50-v2"
    own = Architecture.of(settings, (8, 8, 1), 3, Architecture(**FC))
    assert own.backbone == Architecture(**FC)
    assert Architecture.model_validate_json(own.model_dump_json()) == own


@pytest.mark.parametrize(
    "backbone",
    [None, "auto", {**FC, "model": "softmax"}, {**FC, "image_shape": (8, 9, 1)}, TRANSFER],
    ids=["none", "auto", "softmax", "other-size", "transfer"],
)
def test_a_transfer_model_without_a_backbone_that_fits_is_refused(backbone):
    with pytest.raises(ValidationError, match="backbone"):
        Architecture(**{**TRANSFER, "backbone": backbone})
