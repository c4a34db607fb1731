import pytest
from pydantic import ValidationError

from eyebright.augmentation import POLICY_NAMES, Augmentation, check_policy, named_policy
from eyebright.errors import SettingsError


def test_every_operation_is_off_by_default():
    policy = Augmentation()
    assert policy == named_policy("none", (32, 32, 3))
    assert policy.to_dict() == {}
    assert not any([policy.moves, policy.warps, policy.recolours, policy.mixes])


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_named_policies_fit_images_of_every_size(name, image_shape):
    check_policy(named_policy(name, image_shape), image_shape)


@pytest.mark.parametrize(("side", "shift", "cutout"), [(32, 2, 8), (28, 2, 7), (8, 1, 2), (224, 14, 56), (1, 0, 0)])
def test_named_policies_scale_with_the_shorter_side(side, shift, cutout):
    policy = named_policy("strong", (side, side + 5, 3))
    assert (policy.shift, policy.cutout) == (shift, cutout)


def test_light_is_true_to_digits_and_the_stronger_ones_mirror():
    policies = [named_policy(name, (28, 28, 1)) for name in ("light", "standard", "strong")]
    assert [policy.flip for policy in policies] == ["none", "alternating", "alternating"]
    assert not policies[0].warps
    assert [policy.mixes for policy in policies] == [False, False, True]


def test_single_settings_replace_those_of_the_named_policy():
    policy = named_policy("standard", (32, 32, 3), shift=4, mixup=0.2)
    assert policy.to_dict() == {"flip": "alternating", "mixup": 0.2, "shift": 4}


def test_a_policy_is_immutable_and_hashable():
    policy = Augmentation(shift=2)
    with pytest.raises(ValidationError, match="frozen"):
        policy.shift = 3
    assert hash(policy) == hash(Augmentation(shift=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutuot": 8}, "augmentation.cutuot: unknown setting. Did you mean 'cutout'?"),
        ({"flip": "sometimes"}, "augmentation.flip = sometimes: input should be 'none', 'random' or 'alternating'."),
        ({"shift": -1}, "augmentation.shift = -1: input should be greater than or equal to 0."),
        ({"shift": 1.5}, "augmentation.shift = 1.5: input should be a valid integer."),
        ({"crop": 0.0}, "augmentation.crop = 0.0: input should be greater than 0."),
        ({"hue": 0.6}, "augmentation.hue = 0.6: input should be less than or equal to 0.5."),
        ({"mixup": float("nan")}, "augmentation.mixup = nan: input should be a finite number."),
        ({"trivial_augment": 1}, "augmentation.trivial_augment = 1: input should be a valid boolean."),
    ],
)
def test_a_setting_that_is_unknown_or_out_of_range_is_named(changes, message):
    with pytest.raises(SettingsError) as caught:
        named_policy("none", (32, 32, 3), **changes)
    assert str(caught.value) == message


def test_an_unknown_policy_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match=r"augmentation policy strnog: no such policy\. Did you mean 'strong'\?"):
        named_policy("strnog", (32, 32, 3))


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({"shift": 8}, (8, 9, 1), r"augmentation.shift = 8: .*8 × 9 × 1. Give at most 7."),
        ({"shift": 1}, (1, 9, 1), r"augmentation.shift = 1: .*1 × 9 × 1. Leave it out."),
        ({"cutout": 9}, (20, 8, 3), r"augmentation.cutout = 9: .*20 × 8 × 3. Give at most 8."),
        ({"hue": 0.1}, (28, 28, 1), r"augmentation.hue = 0.1: grey images .*28 × 28 × 1."),
        ({"saturation": 0.4}, (8, 8, 1), r"augmentation.saturation = 0.4: grey images .*8 × 8 × 1."),
    ],
)
def test_what_images_do_not_allow_is_an_error_that_names_both(settings, shape, message):
    with pytest.raises(SettingsError, match=message):
        check_policy(Augmentation(**settings), shape)
    with pytest.raises(SettingsError, match=message):
        named_policy("none", shape, **settings)


def test_what_images_just_allow_passes():
    check_policy(Augmentation(shift=7, cutout=8, brightness=1.0, contrast=1.0), (8, 9, 1))
    check_policy(Augmentation(hue=0.5, saturation=1.0), (1, 1, 3))


def test_mixing_can_be_taken_out_of_a_policy():
    policy = named_policy("strong", (32, 32, 3), mixup=0.0, cutmix=0.0)
    assert not policy.mixes
    assert policy.cutout == 8
    with pytest.raises(SettingsError, match=r"mix_probability = 0\.5: nothing is mixed"):
        named_policy("light", (32, 32, 3), mix_probability=0.5)
