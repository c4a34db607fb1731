import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from eyebright.classifier import Classifier
from eyebright.uncertainty import abstention_threshold, class_sets, unlike_training


def parsed(answer, code=0):
    assert answer.code == code, answer.err
    return json.loads(answer.out)


def test_json_is_an_array_of_one_object_an_image_in_the_order_given(finished, pictures, digits, command):
    paths = [str(pictures / f"{i}.png") for i in (2, 0, 3, 2)]
    answer = command("predict", finished.path, *paths, "--json")
    assert answer.err == ""
    read = parsed(answer)
    assert [entry["image"] for entry in read] == paths
    probabilities = finished.classifier.predict(digits.images[[2, 0, 3, 2]])
    for entry, expected in zip(read, probabilities, strict=True):
        assert entry.keys() == {"image", "label", "probability", "top", "unlike_training"}
        assert [row.keys() for row in entry["top"]] == [{"label", "probability"}] * 5
        assert (entry["label"], entry["probability"]) == tuple(entry["top"][0].values())
        assert [row["label"] for row in entry["top"]] == [str(i) for i in np.argsort(-expected, kind="stable")[:5]]
        got = np.array([row["probability"] for row in entry["top"]])
        np.testing.assert_allclose(got, np.sort(expected)[::-1][:5], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("part", ["", "model"])
def test_the_run_or_its_classifier_may_be_given(part, finished, pictures, command):
    assert len(parsed(command("predict", finished.path / part, pictures / "0.png", "--json"))) == 1


@pytest.mark.parametrize(("top", "shown"), [(1, 1), (3, 3), (10, 10), (99, 10)])
def test_top_says_how_many_classes_are_named(top, shown, finished, pictures, command):
    (entry,) = parsed(command("predict", finished.path, pictures / "0.png", "--json", "--top", top))
    assert len(entry["top"]) == shown
    if shown == 10:
        assert sum(row["probability"] for row in entry["top"]) == pytest.approx(1, rel=1e-5)


def test_top_0_is_refused(finished, pictures, command):
    code, out, err = command("predict", finished.path, pictures / "0.png", "--top", 0)
    assert (code, out) == (2, "")
    assert "--top" in err


def test_a_picture_that_fails_does_not_stop_the_others_and_the_exit_code_is_3(finished, pictures, command):
    names = ("words.png", "1.png", "truncated.jpg", "none.png", "0.png")
    paths = [str(pictures / name) for name in names]
    answer = command("predict", finished.path, *paths, "--json")
    assert answer.err == ""
    read = parsed(answer, code=3)
    assert [entry["image"] for entry in read] == paths
    assert [entry.keys() for entry in read if "error" in entry] == [{"image", "error"}] * 3
    assert ["error" in entry for entry in read] == [True, False, True, True, False]
    assert f"{pictures / 'truncated.jpg'}: truncated JPEG (2,000 bytes" in read[2]["error"]


@pytest.mark.parametrize("flags", [(), ("--csv",)])
def test_what_fails_is_said_on_standard_error_as_well(flags, finished, pictures, command):
    code, out, err = command("predict", finished.path, pictures / "words.png", pictures / "1.png", *flags)
    assert code == 3
    assert str(pictures / "1.png") in out
    assert err.startswith(f"{pictures / 'words.png'}: no picture that can be read")
    assert err.count("\n") == 1


@pytest.mark.parametrize("flags", [(), ("--csv",), ("--json",)])
def test_all_failing_is_exit_code_2(flags, finished, pictures, command):
    paths = [pictures / "words.png", pictures / "truncated.jpg", pictures / "none.png"]
    code, out, err = command("predict", finished.path, *paths, *flags)
    assert code == 2
    assert "Traceback" not in err
    if flags == ("--json",):
        assert [entry["image"] for entry in json.loads(out)] == [str(path) for path in paths]
        assert err == ""
    else:
        assert len(err.splitlines()) == 3
    if not flags:
        assert out == ""


def test_csv_has_a_row_for_each_class_named(finished, pictures, command):
    paths = [str(pictures / name) for name in ("0.png", "words.png", "1.png")]
    rows = list(csv.DictReader(io.StringIO(command("predict", finished.path, *paths, "--csv", "--top", 2).out)))
    assert list(rows[0]) == ["image", "rank", "label", "probability", "error", "unlike_training"]
    assert [(row["image"], row["rank"]) for row in rows] == [
        (paths[0], "1"), (paths[0], "2"), (paths[1], ""), (paths[2], "1"), (paths[2], "2"),
    ]  # fmt: skip
    assert rows[2]["error"].startswith(paths[1])
    exact = parsed(command("predict", finished.path, paths[0], "--json"))[0]
    assert rows[0]["label"] == exact["label"]
    assert float(rows[0]["probability"]) == pytest.approx(exact["probability"], abs=1e-6)


def test_table_is_for_people_and_is_not_wrapped(finished, pictures, command, tmp_path):
    long = tmp_path / ("[red]" + "x" * 200 + ".png")
    long.write_bytes((pictures / "0.png").read_bytes())
    code, out, err = command("predict", finished.path, long, pictures / "1.png")
    assert (code, err) == (0, "")
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == [str(long), str(pictures / "1.png")]
    exact = parsed(command("predict", finished.path, long, "--json"))[0]
    assert rows[0][2].strip() == exact["label"]
    assert rows[0][3].strip() == f"{exact['probability']:.4f}"
    assert rows[0][4].count(",") == 3
    assert command("predict", finished.path, long, "--top", 8).out.count(", ") == 6


FLAGS = {
    "target": ("--target-error", "0.2"),
    "threshold": ("--min-confidence", "0.8"),
    "sets": ("--conformal", "0.1"),
    "aps": ("--conformal", "0.1", "--conformal-method", "aps"),
    "both": ("--min-confidence", "0.8", "--conformal", "0.2", "--per-class"),
}


def asked_for(flags):
    return ["abstained"] * ("--conformal" not in flags[:1]) + ["set"] * ("--conformal" in flags)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_what_is_asked_for_besides_stands_in_the_json_and_what_to_expect_on_standard_error(
    flags, finished, pictures, digits, command
):
    paths = [pictures / name for name in ("0.png", "words.png", "1.png", "2.png")]
    answer = command("predict", finished.path, *paths, *flags, "--json")
    read, classifier = parsed(answer, code=3), finished.classifier
    asked = {*asked_for(flags), "unlike_training"}
    answered = [entry for entry in read if "error" not in entry]
    assert [entry.keys() - {"image", "label", "probability", "top"} for entry in answered] == [asked] * 3
    lines = answer.err.splitlines()
    if "abstained" in asked:
        given = {"target_error": 0.2} if flags[0] == "--target-error" else {"min_confidence": 0.8}
        threshold = abstention_threshold(classifier, **given)
        assert [entry["abstained"] for entry in answered] == [
            entry["probability"] < threshold.threshold for entry in answered
        ]
        line = lines.pop(0)
        assert line.startswith(f"Abstains below {threshold.threshold:.4f}. Of {threshold.images} validation images ")
        assert (
            f"{threshold.coverage:.1%} are answered, {threshold.errors} of these {threshold.accepted} wrongly" in line
        )
        bound = given.get("target_error", threshold.risk_bound)  # of a threshold that was sought no more is promised
        assert line.endswith(f"with 95% confidence at most {bound:.2%} of such answers are wrong.")
    if "set" in asked:
        alpha, method = float(flags[flags.index("--conformal") + 1]), "aps" if "aps" in flags else "lac"
        sets = class_sets(classifier, digits.images[:3], alpha, method, per_class="--per-class" in flags)
        assert [set(entry["set"]) for entry in answered] == [{str(k) for k in np.flatnonzero(row)} for row in sets]
        line = lines.pop(0)
        assert line.startswith(f"Sets of classes ({method}): {1 - alpha:g} of ")
        assert ("of each class's pictures" in line) == ("--per-class" in flags)
    assert lines == []


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_csv_and_table_have_what_is_asked_for_besides(flags, finished, pictures, command):
    paths = [pictures / name for name in ("0.png", "words.png")]
    (entry, _), asked = parsed(command("predict", finished.path, *paths, *flags, "--json"), code=3), asked_for(flags)
    rows = list(csv.DictReader(io.StringIO(command("predict", finished.path, *paths, *flags, "--csv").out)))
    assert list(rows[0]) == ["image", "rank", "label", "probability", "error", *asked, "unlike_training"]
    assert [{name: json.loads(row[name]) for name in asked} for row in rows[:5]] == [
        {name: entry[name] for name in asked}
    ] * 5
    assert [rows[5][name] for name in asked] == [""] * len(asked)
    table = command("predict", finished.path, *paths, *flags).out.splitlines()
    assert [name for name in ("abstained", "set") if name in table[1]] == asked
    (row,) = [line for line in table if str(paths[0]) in line]
    cells = [cell.strip() for cell in row.split("│")[5:-1]]
    words = {"abstained": "yes" if entry.get("abstained") else "no", "set": ", ".join(entry.get("set", [])) or "none"}
    assert cells == [*(words[name] for name in asked), "yes" if entry["unlike_training"] else "no"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--min-confidence", 0.9, "--target-error", 0.1), "--min-confidence and --target-error exclude each other"),
        (("--min-confidence", 1.5), "--min-confidence 1.5: give a probability, from 0 to 1"),
        (("--target-error", 5), "--target-error 5: give the share of wrong answers that is allowed, between 0 and 1"),
        (("--target-error", 0.001), "--target-error 0.001 needs at least 2,995 validation images"),
        (("--conformal", 90), "--conformal 90: give the share of sets that may miss, between 0 and 1"),
        (("--conformal", 0.001), "--conformal 0.001 needs at least 999 validation images"),
        (("--conformal", 0.1, "--conformal-method", "apps"), "--conformal-method apps: no such method. Did you mean"),
        (("--conformal-method", "aps"), "--conformal-method says how sets of classes are made: give --conformal"),
        (("--per-class",), "--per-class says how sets of classes are made: give --conformal"),
        (("--unlike-share", 1), "--unlike-share 1: give the share of known pictures that may be called unlike"),
        (("--unlike-share", 0.001), "--unlike-share 0.001 needs at least 999 validation images; there are 144"),
        (("--conformal", 0.01, "--per-class"), "needs at least 99 validation images of the class '0'"),
    ],
)
def test_what_cannot_be_promised_is_refused(flags, words, finished, pictures, command):
    code, out, err = command("predict", finished.path, pictures / "0.png", *flags)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.fixture
def without_held_out(finished, tmp_path):
    """A classifier as it was saved before there were held-out predictions."""
    made = finished.classifier
    Classifier(made.architecture, made.class_names, made.weights).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("flags", [("--target-error", 0.1), ("--conformal", 0.1)])
def test_a_classifier_without_held_out_predictions_promises_nothing(flags, without_held_out, pictures, command):
    code, out, err = command("predict", without_held_out, pictures / "0.png", *flags)
    assert (code, out) == (2, "")
    assert err.endswith("kept no validation images.\n")


def test_such_a_classifier_abstains_below_a_given_threshold_and_says_what_is_not_known(
    without_held_out, pictures, command
):
    code, out, err = command("predict", without_held_out, pictures / "0.png", "--min-confidence", 1, "--json")
    assert code == 0
    assert json.loads(out)[0]["abstained"]
    assert "is not known" in err
    assert "eyebright calibrate RUN" in err


def test_pictures_that_are_unlike_the_training_images_are_marked_and_counted(finished, pictures, tmp_path, command):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    paths = [tmp_path / "noise.png", pictures / "0.png", pictures / "1.png", pictures / "words.png"]
    answer = command("predict", finished.path, *paths, "--json")
    marks = [entry.get("unlike_training") for entry in parsed(answer, code=3)]
    assert marks == [True, False, False, None]
    expected = "1 of 3 pictures is unlike anything that it was trained on; of pictures like its training images it "
    expected += "says so of 1 in 100.\n"
    assert answer.err == expected
    table = command("predict", finished.path, *paths)
    assert "│ unlike training │" in table.out.replace("┃", "│")
    assert expected in table.err
    assert "1 in 50." in command("predict", finished.path, *paths, "--unlike-share", 0.02).err


def test_the_mark_is_that_of_the_python_interface(finished, pictures, digits, command):
    paths = [pictures / f"{i}.png" for i in range(4)]
    read = parsed(command("predict", finished.path, *paths, "--unlike-share", 0.5, "--json"))
    expected = unlike_training(Classifier.load(finished.path), digits.images[:4], 0.5)
    assert [entry["unlike_training"] for entry in read] == expected.tolist()
    assert expected.any()


def test_a_classifier_that_cannot_tell_what_is_unlike_says_what_to_do(without_held_out, pictures, command):
    code, out, err = command("predict", without_held_out, pictures / "0.png", "--json")
    assert code == 0
    assert "unlike_training" not in json.loads(out)[0]
    assert "this classifier cannot tell" in err
    assert err.endswith("kept no validation images.\n")
    code, out, err = command("predict", without_held_out, pictures / "0.png", "--unlike-share", 0.01)
    assert (code, out) == (2, "")
    assert err.startswith("ClassifierError: Whether pictures are unlike")


def test_json_and_csv_exclude_each_other(finished, pictures, command):
    code, out, err = command("predict", finished.path, pictures / "0.png", "--json", "--csv")
    assert (code, out) == (2, "")
    assert "--json and --csv exclude each other" in err


def test_globs_are_expanded_in_order(finished, pictures, command):
    read = parsed(command("predict", finished.path, pictures / "3.png", str(pictures / "[0-1].png"), "--json"))
    assert [entry["image"] for entry in read] == [str(pictures / f"{i}.png") for i in (3, 0, 1)]


def test_a_glob_goes_into_folders(finished, pictures, command):
    read = parsed(command("predict", finished.path, f"{pictures.parent}/**/{pictures.name}/[23].png", "--json"))
    assert [entry["image"] for entry in read] == [str(pictures / f"{i}.png") for i in (2, 3)]


def test_a_file_with_brackets_in_its_name_is_that_file(finished, pictures, tmp_path, command):
    (tmp_path / "[0].png").write_bytes((pictures / "0.png").read_bytes())
    read = parsed(command("predict", finished.path, tmp_path / "[0].png", "--json"))
    assert read[0]["image"] == str(tmp_path / "[0].png")


def test_a_glob_that_matches_nothing_is_reported(finished, tmp_path, command):
    read = parsed(command("predict", finished.path, tmp_path / "*.png", "--json"), code=2)
    assert read == [{"image": str(tmp_path / "*.png"), "error": f"{tmp_path / '*.png'}: no such file."}]


def test_a_name_that_is_too_long_is_reported(finished, command):
    read = parsed(command("predict", finished.path, "[" + "x" * 300, "--json"), code=2)
    assert "too long" in read[0]["error"]


def test_a_name_in_no_encoding_is_answered(finished, pictures, tmp_path, command):
    name = os.path.join(os.fsencode(tmp_path), b"\xff.png")  # noqa: PTH118 - bytes
    with open(name, "wb") as file:  # noqa: PTH123
        file.write((pictures / "0.png").read_bytes())
    answer = command("predict", finished.path, os.fsdecode(name), "--json")
    assert answer.err == ""
    assert parsed(answer)[0]["image"] == str(tmp_path / "\udcff.png")
    assert r"\udcff.png" in command("predict", finished.path, os.fsdecode(name), "--csv").out


def test_predicting_is_no_look_at_the_test_images(run_copy, pictures, command):
    before = {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()}
    assert command("predict", run_copy, pictures / "0.png").code == 0
    assert {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("run", ["nothing", "x" * 300, "pictures"])
def test_where_no_classifier_is_the_message_says_what_to_give(run, pictures, tmp_path, command):
    path = pictures if run == "pictures" else tmp_path / run
    code, out, err = command("predict", path, pictures / "0.png")
    assert (code, out) == (2, "")
    what = "there is no such file or directory."
    if run == "pictures":
        what = "no saved classifier is there (a finished run has one in its model/)."
    assert err == f"ClassifierError: {path}: {what}\n"


def test_a_damaged_classifier_is_named(run_copy, pictures, command):
    path = run_copy / "model" / "weights.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    code, out, err = command("predict", run_copy, pictures / "0.png", "--json")
    assert (code, out) == (2, "")
    assert err == f"ClassifierError: {path}: damaged (its SHA-256 is not the one that was recorded).\n"
