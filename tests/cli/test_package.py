"""`package`, and what takes the file: `predict` and `inspect`, by ONNX Runtime alone."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from eyebright.arrays import npz_to_arrays
from eyebright.artefact import artefact_bytes, read_artefact
from eyebright.classifier import Classifier
from eyebright.errors import ClassifierError
from eyebright.golden import GoldenImages
from eyebright.golden_pictures import GoldenPictures
from eyebright.storage import MANIFEST

# Only what the base package needs: whatever else is imported fails as if it were not installed.
BASE_ALONE = """
import sys
for name in ("keras", "tensorflow", "scipy", "sklearn", "onnx", "tf2onnx", "matplotlib", "jinja2", "requests", "pooch"):
    sys.modules[name] = None
sys.argv = ["eyebright", *sys.argv[1:]]
from eyebright.cli import main
main()
"""


@pytest.fixture(scope="module")
def artefact(finished, tmp_path_factory):
    """The file of the finished run, made by a process."""
    path = tmp_path_factory.mktemp("artefact") / "digits.eyebright"
    command = [sys.executable, "-m", "eyebright", "package", finished.path, "-o", path, "--license", "mit", "--json"]
    made = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert made["path"] == str(path)
    assert made["bytes"] == path.stat().st_size
    assert 0 <= made["difference"] < 1e-5
    return path


@pytest.fixture
def base_alone():
    def run(*arguments, stdin=None):
        command = [sys.executable, "-c", BASE_ALONE, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", input=stdin, check=False)

    return run


def test_the_same_run_gives_the_same_bytes(artefact, finished, tmp_path, command):
    answer = command("package", finished.path, "-o", tmp_path / "again.eyebright", "--license", "mit")
    assert answer.code == 0
    assert (tmp_path / "again.eyebright").read_bytes() == artefact.read_bytes()


def test_it_answers_as_the_run_does(artefact, finished, digits):
    loaded = Classifier.load(artefact)
    images = digits.images[:300]
    np.testing.assert_allclose(loaded.predict(images), finished.classifier.predict(images), atol=1e-5)
    np.testing.assert_array_equal(loaded.predict(images).argmax(1), finished.classifier.predict(images).argmax(1))
    (logits, features), expected = loaded.answers(images), finished.classifier.answers(images)
    np.testing.assert_allclose(logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(features, expected.features, atol=1e-3)
    assert loaded.features(images[:0]).shape == (0, features.shape[1])
    assert loaded.logits(images[:0]).shape == (0, 10)
    assert loaded.saved.to_parts() == finished.classifier.saved.to_parts()
    assert loaded.about["licence"] == "mit"


def test_with_keras_it_gives_other_views_too(artefact, finished, digits):
    loaded = Classifier.load(artefact)
    np.testing.assert_allclose(
        loaded.logits(digits.images[:9], tta="mirror"), finished.classifier.logits(digits.images[:9], tta="mirror")
    )


def test_predict_needs_the_base_package_alone(artefact, finished, pictures, base_alone, command):
    asked = [pictures / "0.png", pictures / "3.png", "--json", "--target-error", 0.5, "--conformal", 0.2]
    by_file, by_run = base_alone("predict", artefact, *asked), command("predict", finished.path, *asked)
    assert by_file.returncode == by_run.code == 0, by_file.stderr
    assert by_file.stderr == by_run.err
    for entry, expected in zip(json.loads(by_file.stdout), json.loads(by_run.out), strict=True):
        assert entry["probability"] == pytest.approx(expected["probability"], abs=1e-5)
        for name in ("image", "label", "abstained", "set", "unlike_training"):
            assert entry[name] == expected[name]


def test_a_folder_and_a_list_on_standard_input(artefact, pictures, base_alone, tmp_path):
    deeper = tmp_path / "ü" / "deeper"
    shutil.copytree(pictures, deeper)
    for name in ("10.png", "9.png"):
        shutil.copy(pictures / "0.png", deeper / name)
    (deeper / "notes.txt").write_text("x")
    (deeper / ".hidden.png").write_text("x")
    answer = base_alone("predict", artefact, tmp_path, "--json", "--top", 1)
    assert answer.returncode == 3, answer.stderr
    entries = json.loads(answer.stdout)
    names = ["0.png", "1.png", "2.png", "3.png", "9.png", "10.png", "truncated.jpg", "words.png"]
    assert [entry["image"] for entry in entries] == [str(deeper / name) for name in names]
    assert ["error" in entry for entry in entries] == [False] * 6 + [True] * 2

    listed = f"{deeper / '10.png'}\n\n{deeper / 'none.png'}\n{deeper / '2.png'}\n"
    answer = base_alone("predict", artefact, pictures / "3.png", "-", "--csv", "--top", 1, stdin=listed)
    assert answer.returncode == 3
    rows = answer.stdout.splitlines()[1:]
    paths = [pictures / "3.png", deeper / "10.png", deeper / "none.png", deeper / "2.png"]
    assert [row.split(",")[0] for row in rows] == list(map(str, paths))
    assert str(deeper / "none.png") in answer.stderr


def test_no_pictures_are_an_error(artefact, tmp_path, base_alone):
    (tmp_path / "notes.txt").write_text("x")
    for given, message in ((tmp_path, "no pictures are in this folder"), ("-", "lists no pictures")):
        answer = base_alone("predict", artefact, given, stdin="\n")
        assert (answer.returncode, answer.stdout) == (2, "")
        assert message in answer.stderr


def test_inspect_prints_all_of_it(artefact, base_alone):
    answer = base_alone("inspect", artefact, "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["format_version"] == 1
    assert set(found["parts"]) == set(read_artefact(artefact)) - {MANIFEST}
    assert found["labels"]["class_names"] == [str(i) for i in range(10)]
    assert found["golden"]["images"] == 16
    assert found["golden"]["pictures"] == 7
    assert found["golden"]["largest_difference"] < 1e-5
    for_people = base_alone("inspect", artefact, "--skip-golden")
    assert for_people.returncode == 0
    for text in (found["sha256"], found["card"], found["parts"]["weights.npz"]["sha256"], "not computed again"):
        assert text in for_people.stdout
    assert "network as it is computed: model" in for_people.stdout
    assert "network as it is computed: channels" not in for_people.stdout  # softmax has none
    assert base_alone("inspect", artefact, "--nearest", 3).returncode == 2


def test_the_card_has_a_header_of_metadata_and_the_figures_of_the_run(artefact, finished):
    card = read_artefact(artefact)["README.md"].decode()
    _, header, text = card.split("---\n", 2)
    assert header.startswith('license: "mit"\nlibrary_name: eyebright\npipeline_tag: image-classification\n')
    assert f"value: {finished.results['test_accuracy']}\n" in header
    assert f"| Accuracy | {finished.results['test_accuracy']:.4f} |" in text
    for title in ("What it is meant for", "What it must not be used for"):
        assert f"## {title}\n\n*To be filled in" in text


def test_golden_images_are_made_ones_that_spread_over_the_answers(artefact, digits):
    loaded = Classifier.load(artefact)
    golden = GoldenImages.from_part(read_artefact(artefact)["golden.npz"], loaded.image_shape, 10)
    assert len(golden.images) == 16
    assert len(set(golden.probabilities.argmax(axis=1))) >= 5
    known = {image.tobytes() for image in digits.images}
    assert not {image.tobytes() for image in golden.images} & known


def test_golden_images_may_be_given(finished, digits, tmp_path, command):
    path = tmp_path / "own.eyebright"
    assert command("package", finished.path, "-o", path, "--golden", "digits").code == 0
    golden = GoldenImages.from_part(read_artefact(path)["golden.npz"], (8, 8, 1), 10)
    assert {image.tobytes() for image in golden.images} <= {image.tobytes() for image in digits.images}
    assert len(golden.images) == 16


def changed(artefact, **parts):
    """The artefact with other parts, sealed as if it had been made so."""
    own = read_artefact(artefact)
    versions = json.loads(own.pop(MANIFEST))["versions"]
    named = {".".join(name.rsplit("_", 1)): part for name, part in parts.items()}
    return artefact_bytes({name: part for name, part in (own | named).items() if part is not None}, versions)


def test_another_answer_to_a_golden_image_is_refused_unless_they_are_skipped(artefact, pictures, tmp_path, command):
    golden = GoldenImages.from_part(read_artefact(artefact)["golden.npz"], (8, 8, 1), 10)
    probabilities = golden.probabilities.copy()
    probabilities[7] = np.roll(probabilities[7], 1)  # another order of the classes
    path = tmp_path / "other.eyebright"
    path.write_bytes(changed(artefact, golden_npz=GoldenImages(golden.images, probabilities).to_part()))
    answer = command("predict", path, pictures / "0.png")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"ClassifierError: {path}: its golden images")
    assert command("predict", path, pictures / "0.png", "--skip-golden").code == 0


def test_another_answer_to_a_golden_picture_is_refused_unless_they_are_skipped(artefact, pictures, tmp_path, command):
    golden = GoldenPictures.from_part(read_artefact(artefact)["golden_pictures.json"], 10)
    probabilities = golden.probabilities.copy()
    probabilities[5] = np.roll(probabilities[5], 1)
    path = tmp_path / "other.eyebright"
    part = GoldenPictures(golden.files, probabilities, golden.pillow).to_part()
    path.write_bytes(changed(artefact, golden_pictures_json=part))
    answer = command("predict", path, pictures / "0.png")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"ClassifierError: {path}: its golden pictures")
    assert command("predict", path, pictures / "0.png", "--skip-golden").code == 0


def test_another_way_of_fitting_pictures_than_it_was_packaged_with_is_found(artefact, tmp_path):
    path = tmp_path / "other.eyebright"
    path.write_bytes(changed(artefact, inference_json=b'{"fit": "pad", "tta": "none"}'))
    with pytest.raises(ClassifierError, match="its golden pictures"):
        Classifier.load(path)


@pytest.mark.parametrize(
    "name", ["about_json", "golden_npz", "golden_pictures_json", "labels_json", "model_onnx", "weights_npz"]
)
@pytest.mark.parametrize("part", [None, b"", b"{"], ids=["none", "empty", "half"])
def test_an_artefact_that_another_program_made_wrong_is_refused(name, part, artefact, tmp_path):
    path = tmp_path / "wrong.eyebright"
    path.write_bytes(changed(artefact, **{name: part}))
    with pytest.raises(ClassifierError, match=r"wrong\.eyebright: "):
        Classifier.load(path)


def deflated(content):
    """An .npz file of the same arrays, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **npz_to_arrays(content))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["golden.npz", "held_out.npz", "known_images.npz", "weights.npz"])
def test_arrays_that_were_compressed_are_refused(name, artefact, tmp_path):
    path = tmp_path / "wrong.eyebright"
    part = deflated(read_artefact(artefact)[name])
    path.write_bytes(changed(artefact, **{name.replace(".", "_"): part}))
    with pytest.raises(ClassifierError, match=r"wrong\.eyebright: .*compressed"):
        Classifier.load(path)


@pytest.mark.parametrize("name", ["about_json", "labels_json", "inference_json", "calibration_json"])
def test_json_that_is_nested_without_end_is_refused(name, artefact, tmp_path):
    path = tmp_path / "wrong.eyebright"
    path.write_bytes(changed(artefact, **{name: b"[" * 100_000}))
    with pytest.raises(ClassifierError, match=r"wrong\.eyebright: "):
        Classifier.load(path)


@pytest.mark.parametrize(
    "facts",
    [
        [],
        "x",
        None,
        {"test": []},
        {"test": {"accuracy": "good"}},
        {"data": 1},
        {"licence": {}},
        {"test": {"images": -0.5}},
    ],
    ids=str,
)
def test_facts_of_other_types_are_refused(facts, artefact, tmp_path):
    path = tmp_path / "wrong.eyebright"
    path.write_bytes(changed(artefact, about_json=json.dumps(facts).encode()))
    with pytest.raises(ClassifierError, match=r"wrong\.eyebright: about\.json: "):
        Classifier.load(path)


@pytest.mark.parametrize("part", [None, b"[" * 100_000, b"{"], ids=["none", "nested", "half"])
def test_inspect_refuses_what_only_it_reads(part, artefact, tmp_path, command):
    path = tmp_path / "wrong.eyebright"
    path.write_bytes(changed(artefact, preprocessing_json=part))
    answer = command("inspect", path)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"ClassifierError: {path}: ")


def test_a_flipped_bit_is_one_message_and_exit_code_2(artefact, tmp_path, command, pictures):
    content = bytearray(artefact.read_bytes())
    content[len(content) // 2] ^= 16
    path = tmp_path / "flipped.eyebright"
    path.write_bytes(content)
    for name in ("predict", "inspect"):
        answer = command(name, path, *([pictures / "0.png"] if name == "predict" else []))
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"ClassifierError: {path}: damaged")
        assert answer.err.count("\n") == 1


def test_what_is_no_run_or_no_name_is_refused(finished, tmp_path, command):
    assert "--output" in command("package", finished.path, "-o", tmp_path / "a.zip").err
    assert "no such directory" in command("package", tmp_path / "none").err
    file = tmp_path / "b.eyebright"
    file.write_bytes(b"any")
    assert "this is an artefact, and here it takes the directory of the run" in command("package", file).err
    answer = command("package", finished.path, "-o", tmp_path / "none" / "a.eyebright")
    assert (answer.code, answer.out) == (2, "")
    assert "cannot be written" in answer.err


def test_without_a_name_it_lies_in_the_run(run_copy, command):
    assert command("package", run_copy).code == 0
    assert Classifier.load(run_copy / "export" / "run.eyebright").class_names[3] == "3"
