import hashlib
import io
import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from eyebright import storage
from eyebright.arrays import arrays_to_npz
from eyebright.backend import versions
from eyebright.classifier import Classifier
from eyebright.classifier_parts import KIND, VERSION
from eyebright.errors import ClassifierError, DataError, StorageError
from eyebright.held_out import HeldOut
from eyebright.known_images import KnownImages
from eyebright.metrics.calibration import Calibration
from eyebright.models import Architecture, build_model
from eyebright.models.network import load_weights, model_weights

NAMES = ("cat", "Hündchen", "a [b]")
ARCHITECTURE = Architecture(
    model="fc", image_shape=(4, 5, 3), classes=3, preprocessing="per-channel", layers=2, hidden_units=7,
    activation="silu", batch_norm=True, dropout=0.5,
)  # fmt: skip
PARTS = {
    "architecture.json", "calibration.json", "held_out.npz", "inference.json", "known_images.npz", "labels.json",
    "preprocessing.json", "weights.npz",
}  # fmt: skip
LATER = ("calibration.json", "held_out.npz", "known_images.npz")  # since version 5
CALIBRATION = Calibration(method="temperature", temperature=2.5)
HELD_OUT = HeldOut(
    labels=np.array([0, 2, 1, 1], np.int32),
    logits=np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32),
    keys=np.array([1, 2**63, 7, 2**64 - 1], np.uint64),
)
KNOWN_IMAGES = KnownImages(
    directions=np.random.default_rng(6).normal(size=(3, 7)).astype(np.float32), distances=np.array([0.1, 0.25, 0.25])
)
VIEWS = ("none", "mirror", "mirror-shift")


def make_classifier(architecture=ARCHITECTURE, seed=3, tta="none"):
    """A classifier with weights of its own in every place, preprocessing and batch statistics included."""
    model = build_model(architecture, "float32", seed)
    generator = np.random.default_rng(seed)
    weights = model_weights(model)
    for name, values in weights.items():
        scale = 100 if name.startswith("standardize/") else 0.1
        weights[name] = (values + scale * generator.random(values.shape)).astype(values.dtype)
    return Classifier(
        architecture, NAMES, weights, tta, calibration=CALIBRATION, held_out=HELD_OUT, known_images=KNOWN_IMAGES
    )


def pictures(count=20, seed=0, shape=ARCHITECTURE.image_shape):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture(scope="module")
def classifier():
    return make_classifier()


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    directory = tmp_path_factory.mktemp("classifier") / "model"
    classifier.save(directory)
    return directory


def rewrite(directory, version=VERSION, kind=KIND, **changed):
    """Write a saved classifier anew, its manifest in order, with some parts changed (None: left out)."""
    parts = storage.read_directory(directory, kind=KIND, version=VERSION) | changed
    parts = {name: content for name, content in parts.items() if content is not None}
    storage.write_directory(directory, parts, kind=kind, version=version)


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def test_loaded_classifier_predicts_the_same_bits(classifier, saved):
    loaded = Classifier.load(saved)
    assert loaded.class_names == NAMES
    assert loaded.architecture == ARCHITECTURE
    assert loaded.weights_sha256 == classifier.weights_sha256
    assert loaded.weights.keys() == classifier.weights.keys()
    for name, weights in classifier.weights.items():
        assert loaded.weights[name].dtype == weights.dtype
        assert (loaded.weights[name] == weights).all()
    assert (loaded.predict(pictures()) == classifier.predict(pictures())).all()
    assert loaded.calibration == CALIBRATION
    for name, array in HELD_OUT.to_arrays().items():
        assert (loaded.held_out.to_arrays()[name] == array).all()
    for name, array in KNOWN_IMAGES.to_arrays().items():
        assert (loaded.known_images.to_arrays()[name] == array).all()


@pytest.mark.parametrize("tta", VIEWS)
def test_answers_are_the_logits_by_its_views_and_the_features_of_one(tta):
    classifier, chosen = make_classifier(tta=tta), np.array([3, 17, 4])
    answers = classifier.answers(pictures(), chosen)
    np.testing.assert_allclose(answers.logits, classifier.logits(pictures(), chosen), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers.features, classifier.features(pictures(), chosen), rtol=1e-5, atol=1e-6)
    assert [part.shape for part in classifier.answers(pictures(0))] == [(0, 3), (0, 7)]


def test_it_is_loaded_from_its_run_as_well(saved, classifier):
    assert Classifier.load(str(saved.parent)).weights_sha256 == classifier.weights_sha256


def test_same_classifier_gives_the_same_bytes(saved, tmp_path):
    Classifier.load(saved).save(tmp_path / "again")
    make_classifier().save(tmp_path / "anew")
    for other in (tmp_path / "again", tmp_path / "anew"):
        assert {entry.name for entry in other.iterdir()} == PARTS | {storage.MANIFEST}
        for entry in saved.iterdir():
            assert (other / entry.name).read_bytes() == entry.read_bytes()


def test_the_versions_that_wrote_it_stand_in_its_manifest(saved):
    assert json.loads((saved / storage.MANIFEST).read_bytes())["versions"] == versions()


def test_files_say_what_a_reader_without_eyebright_needs(saved):
    labels = json.loads((saved / "labels.json").read_text(encoding="utf-8"))
    assert labels["class_names"] == list(NAMES)
    assert labels["sha256"] == hashlib.sha256("\n".join(NAMES).encode()).hexdigest()
    assert json.loads((saved / "architecture.json").read_text())["hidden_units"] == 7
    preprocessing = json.loads((saved / "preprocessing.json").read_text(encoding="utf-8"))
    assert preprocessing["image_shape"] == [4, 5, 3]
    assert preprocessing["pixels"] == "per-channel"
    assert preprocessing["views"] == "the image as it is"
    with np.load(saved / "weights.npz", allow_pickle=False) as weights:
        assert {"standardize/mean", "standardize/standard_deviation", "logits/kernel"} <= set(weights.files)


def test_nothing_in_it_is_a_pickle_or_code(saved):
    assert {entry.suffix for entry in saved.iterdir()} == {".json", ".npz"}
    with zipfile.ZipFile(saved / "weights.npz") as members:
        for name in members.namelist():
            assert members.read(name).startswith(b"\x93NUMPY")
            assert b"'descr': '<f4'" in members.read(name)[:128]
    with zipfile.ZipFile(saved / "held_out.npz") as members:
        assert [members.read(name)[:6] for name in members.namelist()] == [b"\x93NUMPY"] * 3


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_one_flipped_bit_anywhere_is_a_classifier_error_that_names_the_file(saved, data):
    path = saved / data.draw(st.sampled_from(sorted(PARTS | {storage.MANIFEST})))
    content = path.read_bytes()
    position = data.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[position // 8] ^= 1 << position % 8
    path.write_bytes(flipped)
    try:
        with pytest.raises(ClassifierError, match="damaged") as error:
            Classifier.load(saved)
    finally:
        path.write_bytes(content)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_missing_part_is_named(name, copy):
    (copy / name).unlink()
    with pytest.raises(ClassifierError, match="missing") as error:
        Classifier.load(copy)
    assert str(copy / name) in str(error.value)


@pytest.mark.parametrize("name", ["no", "x" * 300])
def test_where_none_is_the_message_says_what_to_give(name, tmp_path):
    with pytest.raises(ClassifierError, match="there is no such file or directory") as error:
        Classifier.load(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    with pytest.raises(ClassifierError, match="no saved classifier is there"):
        Classifier.load(tmp_path)


def test_of_a_run_that_is_not_finished_and_of_several_runs_the_message_says_what_to_give(tmp_path):
    for name in ("settings.toml", "data.json"):
        (tmp_path / name).touch()
    with pytest.raises(ClassifierError, match=r"this run is not finished. Go on with it: .* train --resume"):
        Classifier.load(tmp_path)
    for seed in (0, 1):
        (tmp_path / f"seed-{seed}").mkdir()
    with pytest.raises(ClassifierError, match=r"there are 2 runs in it. Give one of them, for example .*seed-0\.$"):
        Classifier.load(tmp_path)


def test_a_newer_version_is_refused(copy):
    rewrite(copy, version=VERSION + 1)
    with pytest.raises(ClassifierError, match=f"version {VERSION + 1} is newer .* Upgrade Eyebright"):
        Classifier.load(copy)


def test_another_kind_of_directory_is_refused(copy):
    rewrite(copy, kind="eyebright-checkpoint")
    with pytest.raises(ClassifierError, match="of kind 'eyebright-checkpoint'"):
        Classifier.load(copy)


def without(arrays, name):
    return {key: array for key, array in arrays.items() if key != name}


def pickled_weights():
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([print], dtype=object))
    return buffer.getvalue()


BY_ANOTHER_PROGRAM = {
    "no weights": {"weights.npz": None},
    "no zip": {"weights.npz": b"abc"},
    "weights that are a pickle": {"weights.npz": pickled_weights()},
    "labels that are a list": {"labels.json": b"[]"},
    "labels without names": {"labels.json": b"{}"},
    "labels that are no JSON": {"labels.json": b"{"},
    "names of another hash": {"labels.json": b'{"class_names": ["a", "b", "c"], "sha256": "0"}'},
    "views that are none": {"inference.json": b"{}"},
    "views that are a list": {"inference.json": b'{"tta": ["mirror"]}'},
    "an unknown fit": {"inference.json": b'{"tta": "none", "fit": "squeeze"}'},
    "views that are no JSON": {"inference.json": b"mirror"},
    "an unknown calibration": {"calibration.json": b'{"method": "platt"}'},
    "a calibration of other classes": {"calibration.json": b'{"method": "vector", "scale": [1, 2], "bias": [0, 0]}'},
    "a calibration that is no JSON": {"calibration.json": b"temperature"},
    "held-out predictions without keys": {"held_out.npz": arrays_to_npz(without(HELD_OUT.to_arrays(), "keys"))},
    "held-out predictions of other classes": {
        "held_out.npz": arrays_to_npz({**HELD_OUT.to_arrays(), "logits": HELD_OUT.logits[:, :2]})
    },
    "held-out labels that are no class": {
        "held_out.npz": arrays_to_npz({**HELD_OUT.to_arrays(), "labels": HELD_OUT.labels + np.int32(1)})
    },
    "held-out labels of another type": {
        "held_out.npz": arrays_to_npz({**HELD_OUT.to_arrays(), "labels": HELD_OUT.labels.astype(np.float32)})
    },
    "held-out labels of another number": {
        "held_out.npz": arrays_to_npz({**HELD_OUT.to_arrays(), "labels": HELD_OUT.labels[:3]})
    },
    "held-out predictions that are no zip": {"held_out.npz": b"abc"},
    "an unknown model": {"architecture.json": b'{"model": "resnet"}'},
    "another number of classes": {
        "architecture.json": storage.json_bytes(ARCHITECTURE.model_copy(update={"classes": 4}).model_dump(mode="json"))
    },
}


@pytest.mark.parametrize("changed", BY_ANOTHER_PROGRAM.values(), ids=BY_ANOTHER_PROGRAM)
def test_one_that_another_program_made_wrongly_is_refused(changed, copy):
    rewrite(copy, **changed)
    with pytest.raises(ClassifierError):
        Classifier.load(copy)


def test_weights_that_do_not_fit_are_refused(classifier):
    other = make_classifier(ARCHITECTURE.model_copy(update={"hidden_units": 8}))
    misfit = Classifier(ARCHITECTURE, NAMES, other.weights)
    with pytest.raises(ClassifierError, match=r"the model has \(.*\), the file \(.*\)"):
        misfit.predict(pictures())
    fewer = {name: weights for name, weights in classifier.weights.items() if name != "logits/bias"}
    with pytest.raises(ClassifierError, match=r"'logits/bias': the model has \(3,\), the file none"):
        Classifier(ARCHITECTURE, NAMES, fewer).predict(pictures())


def test_another_number_of_names_is_refused(classifier):
    with pytest.raises(ClassifierError, match="2 class names for a model of 3 classes"):
        Classifier(ARCHITECTURE, NAMES[:2], classifier.weights)


@pytest.mark.parametrize("tta", VIEWS)
def test_a_saved_classifier_goes_on_answering_by_the_same_views(tta, classifier, tmp_path):
    made = make_classifier(tta=tta)
    made.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    assert loaded.tta == tta
    assert (loaded.logits(pictures()) == made.logits(pictures())).all()
    assert loaded.weights_sha256 == classifier.weights_sha256  # of the weights alone
    views = json.loads((tmp_path / "model" / "preprocessing.json").read_text(encoding="utf-8"))["views"]
    assert {"none": "as it is", "mirror": "mirror image", "mirror-shift": "one pixel up and left"}[tta] in views


def test_one_that_was_saved_before_there_were_views_answers_by_one(copy, classifier):
    rewrite(copy, version=1, **dict.fromkeys(["inference.json", *LATER]))
    loaded = Classifier.load(copy)
    assert loaded.tta == "none"
    assert (loaded.logits(pictures()) == classifier.logits(pictures())).all()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_one_that_was_saved_before_there_was_calibration_answers_without_it(version, copy, classifier):
    rewrite(copy, version=version, **dict.fromkeys(LATER))
    loaded = Classifier.load(copy)
    assert (loaded.calibration, loaded.held_out, loaded.known_images) == (Calibration(), None, None)
    logits = classifier.logits(pictures()).astype(np.float64)
    np.testing.assert_allclose(loaded.predict(pictures()), softmax(logits, axis=1), rtol=1e-6)
    loaded.save(copy.parent / "again")
    assert {entry.name for entry in (copy.parent / "again").iterdir()} == PARTS - {
        "held_out.npz",
        "known_images.npz",
    } | {storage.MANIFEST}


def test_what_is_calibrated_is_of_a_version_that_who_knows_no_calibration_refuses(copy):
    with pytest.raises(StorageError, match="format version 5 is newer than this Eyebright reads"):
        storage.read_directory(copy, kind=KIND, version=4)


def test_a_calibration_of_other_classes_is_refused(classifier):
    calibration = Calibration(method="vector", scale=(1.0, 2.0), bias=(0.0, 0.0))
    with pytest.raises(ClassifierError, match="calibration of 2 classes for a model of 3"):
        Classifier(ARCHITECTURE, NAMES, classifier.weights, calibration=calibration)


def test_weights_sha256_does_not_depend_on_the_calibration(classifier):
    assert Classifier(ARCHITECTURE, NAMES, classifier.weights).weights_sha256 == classifier.weights_sha256


def test_logits_that_are_not_finite_are_refused(classifier):
    weights = {name: array * np.float32(1e30) for name, array in classifier.weights.items()}
    with pytest.raises(DataError, match="logits of image 0 are not finite"):
        Classifier(ARCHITECTURE, NAMES, weights).predict(pictures())


@pytest.mark.parametrize("tta", ["mirrors", "Mirror", "", 2, ["mirror"]])
def test_unknown_views_are_refused_by_name(tta, classifier, copy):
    words = re.escape(f"tta {tta!r}: no such test-time augmentation. ") + "(Did you mean 'mirror'|Known: none, mirror)"
    with pytest.raises(ClassifierError, match=f"^{words}"):
        Classifier(ARCHITECTURE, NAMES, classifier.weights, tta)
    rewrite(copy, **{"inference.json": storage.json_bytes({"tta": tta})})
    with pytest.raises(ClassifierError, match=f"^{re.escape(str(copy))}: {words}"):
        Classifier.load(copy)
    with pytest.raises(ClassifierError, match=f"^{words}"):
        classifier.logits(pictures(), tta=tta)


@pytest.mark.parametrize("tta", VIEWS)
def test_all_answers_are_by_its_own_views_unless_others_are_asked_for(tta, classifier):
    images, viewing = pictures(), make_classifier(tta=tta)
    logits = viewing.logits(images)
    assert (logits == classifier.logits(images, tta=tta)).all()
    assert (logits == viewing.viewed_logits(images).mean).all()
    np.testing.assert_allclose(viewing.predict(images), CALIBRATION.probabilities(logits), rtol=1e-6)
    one_view = classifier.logits(images)
    assert (viewing.logits(images, tta="none") == one_view).all()
    np.testing.assert_allclose(viewing.viewed_logits(images).one_view, one_view, rtol=1e-5, atol=1e-5)
    assert (np.abs(logits - one_view).max() > 0.01) == (tta != "none")
    assert (viewing.logits(images, np.array([7, 7, 2]), tta="none") == classifier.logits(images[[7, 7, 2]])).all()


def test_mirroring_an_image_changes_no_probability_where_its_mirror_image_is_a_view():
    mirroring = make_classifier(tta="mirror")
    images = pictures()
    mirrored = mirroring.predict(np.ascontiguousarray(images[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, mirroring.predict(images), rtol=1e-5)
    assert np.abs(mirroring.logits(images, tta="none") - mirroring.logits(images[:, :, ::-1], tta="none")).max() > 0.01


def test_probabilities_are_those_of_the_logits(classifier):
    probabilities = classifier.predict(pictures())
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (20, 3)
    logits = classifier.logits(pictures()).astype(np.float64)
    np.testing.assert_allclose(probabilities, softmax(logits / 2.5, axis=1), rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_extreme_logits_give_probabilities_all_the_same():
    architecture = Architecture(model="softmax", image_shape=(1, 1, 1), classes=3, preprocessing="mean-image")
    weights = {
        "standardize/mean": np.zeros((1, 1, 1), np.float32),
        "logits/kernel": np.array([[1000, -1000, 999.0]], np.float32),
        "logits/bias": np.zeros(3, np.float32),
    }
    probabilities = Classifier(architecture, NAMES, weights).predict(np.full((1, 1, 1, 1), 255, np.uint8))
    assert probabilities.tolist() == [[1, 0, 0]]


def test_an_image_is_classified_alike_alone_and_among_others(classifier):
    images = pictures(1_003)  # more than are computed at once
    alone = np.concatenate([classifier.logits(images[i : i + 1]) for i in (0, 999, 1000, 1002)])
    np.testing.assert_allclose(classifier.logits(images)[[0, 999, 1000, 1002]], alone, rtol=1e-4, atol=1e-4)


def test_logits_of_chosen_images_are_in_the_order_of_the_choice(classifier):
    chosen = np.array([5, 2, 2, 0])
    assert (classifier.logits(pictures(), chosen) == classifier.logits(pictures()[chosen])).all()


@pytest.mark.parametrize("count", [0, 1, 1000, 1001])
def test_any_number_of_images_is_taken(classifier, count):
    assert classifier.predict(pictures(count)).shape == (count, 3)
    assert classifier.viewed_logits(pictures(count), tta="mirror").one_view.shape == (count, 3)


@pytest.mark.parametrize(
    "images",
    [pictures().astype(np.float32), pictures() / 255, pictures()[0], pictures(shape=(5, 4, 3)), pictures()[..., :1]],
    ids=["float32", "scaled", "one image", "turned", "grey"],
)
def test_other_images_are_refused(classifier, images):
    with pytest.raises(DataError, match=r"uint8 \[N, 4, 5, 3\] with values 0 … 255; these are"):
        classifier.predict(images)


def test_images_may_be_mapped_from_a_file_and_are_not_changed(classifier, tmp_path):
    np.save(tmp_path / "images.npy", pictures())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert (classifier.predict(mapped) == classifier.predict(pictures())).all()


def test_parameters_count_what_was_learnt_but_not_the_preprocessing(classifier):
    first, second, last = 4 * 5 * 3 * 7, 7 * 7, 7 * 3 + 3
    batch_norm = 2 * 4 * 7  # scale, shift and two statistics a unit, twice
    assert classifier.parameters == first + second + last + batch_norm


def test_parameters_do_not_count_the_matrix_that_whitens_the_pixels():
    architecture = Architecture(model="softmax", image_shape=(4, 5, 3), classes=3, preprocessing="whitening")
    assert make_classifier(architecture).parameters == 4 * 5 * 3 * 3 + 3


def test_weights_sha256_depends_on_names_shapes_types_and_values(classifier):
    def sha256(weights):
        return Classifier(ARCHITECTURE, NAMES, weights).weights_sha256

    weights = classifier.weights
    kernel = weights["logits/kernel"]
    others = [
        {**weights, "logits/kernel": np.nextafter(kernel, 9)},
        {**weights, "logits/kernel": kernel.reshape(3, 7)},
        {**weights, "logits/kernel": kernel.view(np.int32)},
        {("other" if name == "logits/kernel" else name): w for name, w in weights.items()},
    ]
    assert len({sha256(weights), *map(sha256, others)}) == 5
    assert sha256(dict(reversed(weights.items()))) == sha256(weights)
    assert sha256({**weights, "logits/kernel": np.asfortranarray(kernel)}) == sha256(weights)


def test_weights_go_into_a_model_by_name(classifier):
    model = build_model(ARCHITECTURE)
    load_weights(model, dict(reversed(classifier.weights.items())))
    for name, weights in model_weights(model).items():
        assert (weights == classifier.weights[name]).all()
