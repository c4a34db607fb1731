import json

import numpy as np
import pytest
from PIL import Image

from eyebright import preset_settings, train


def looks(run):
    return json.loads((run / "results.json").read_text())["test_looks"]


def figures(answer):
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def is_png(path):
    with Image.open(path) as picture:
        return picture.format == "PNG"


def test_json_has_the_names_that_machines_read_and_pictures_are_drawn(run_copy, command):
    read = figures(command("inspect", run_copy, "--top", 5, "--json"))
    assert read.keys() == {
        "n", "accuracy", "accuracy_ci95", "top_losses", "confused_pairs", "worst_slice", "slices", "data", "split",
        "test_looks", "pictures",
    }  # fmt: skip
    assert len(read["top_losses"]) == 5
    assert [len(one["nearest"]) for one in read["top_losses"]] == [3] * 5
    assert read["top_losses"][0]["nearest"][0].keys() == {"image", "label", "similarity"}
    assert read["pictures"] == [str(run_copy / "inspection" / name) for name in ("top-losses.png", "nearest.png")]
    assert all(map(is_png, read["pictures"]))
    assert (read["split"], read["test_looks"], looks(run_copy)) == ("validation", None, 1)
    evaluated = figures(command("evaluate", run_copy, "--split", "validation", "--json"))
    assert (read["accuracy"], read["accuracy_ci95"]) == (evaluated["accuracy"], evaluated["accuracy_ci95"])


def test_people_get_tables(run_copy, tmp_path, command):
    code, out, _ = command("inspect", run_copy, "-o", tmp_path / "in" / "here", "--nearest", 0)
    assert code == 0
    assert out.startswith("Accuracy 0.")
    assert "largest losses" in out
    assert "Mistaken most often" in out
    assert out.endswith(f"{tmp_path / 'in' / 'here' / 'top-losses.png'}\n")
    assert not (tmp_path / "in" / "here" / "nearest.png").exists()


def test_the_answers_to_test_images_that_a_run_has_kept_are_no_further_look(run_copy, finished, command):
    read = figures(command("inspect", run_copy, "--split", "test", "--json"))
    assert read["accuracy"] == finished.results["test_accuracy"]
    assert (read["test_looks"], looks(run_copy)) == (None, 1)
    assert "nearest" not in read["top_losses"][0]
    near = figures(command("inspect", run_copy, "--split", "test", "--nearest", 2, "--json"))
    assert (near["test_looks"], looks(run_copy)) == (2, 2)
    assert len(near["top_losses"][0]["nearest"]) == 2


@pytest.mark.parametrize("damage", ["missing", "damaged", "of other weights", "of other views"])
def test_without_its_own_kept_answers_it_looks_again_and_says_so(run_copy, finished, command, damage):
    path = run_copy / "test_predictions.npz"
    if damage == "missing":
        path.unlink()
    elif damage == "damaged":
        path.write_bytes(path.read_bytes()[:200])
    else:
        kept = dict(np.load(path))
        change = {"weights_sha256": np.array("0" * 64)} if damage == "of other weights" else {"tta": np.array("mirror")}
        np.savez(path, **{**kept, **change})
    answer = command("inspect", run_copy, "--split", "test", "--json")
    assert "looks at the test images again" in answer.err
    assert figures(answer)["accuracy"] == finished.results["test_accuracy"]
    assert looks(run_copy) == 2


def test_other_data_are_inspected_without_neighbours(run_copy, digits, tmp_path, command):
    np.savez(
        tmp_path / "other.npz", images=digits.images[:60], labels=digits.labels[:60], class_names=digits.class_names
    )
    read = figures(command("inspect", run_copy, tmp_path / "other.npz", "--split", "test", "--json"))
    assert read["n"] == 60
    assert "nearest" not in read["top_losses"][0]
    code, _, err = command("inspect", run_copy, tmp_path / "other.npz", "--split", "test", "--nearest", 1)
    assert code == 2
    assert err.startswith("SettingsError: --nearest 1: other is other data than the run was trained on")


def test_pictures_in_files_are_parted_by_their_size_there(digits, tmp_path, command):
    for number in range(300):
        side = (8, 12, 16, 20)[number // 10 % 4]
        path = tmp_path / "pictures" / digits.class_names[digits.labels[number]] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[number, :, :, 0]).resize((side, side)).save(path)
    settings = preset_settings(
        "default",
        model="softmax",
        data=str(tmp_path / "pictures"),
        max_steps=2,
        batch_size=20,
        image_size=8,
        validation=0.4,
    )
    from eyebright import load_dataset

    dataset = load_dataset(tmp_path / "pictures", options=settings.picture_options)
    run = train(settings, dataset, tmp_path / "run").path
    read = figures(command("inspect", run, "--json", "--nearest", 0))
    sizes = {one["slice"] for one in read["slices"] if one["attribute"] == "size in pixels"}
    assert len(sizes) >= 2
    assert all(name.split()[0] in ("8", "12", "16", "20") for name in sizes)


def test_a_folder_that_cannot_be_made_is_named(run_copy, tmp_path, command):
    (tmp_path / "file").write_text("")
    code, out, err = command("inspect", run_copy, "-o", tmp_path / "file")
    assert (code, out) == (2, "")
    assert err.startswith(f"StorageError: {tmp_path / 'file'}: cannot be made")


def test_of_other_data_without_splits_the_message_says_which_images_there_are(run_copy, digits, tmp_path, command):
    np.savez(tmp_path / "new.npz", images=digits.images[:30], labels=digits.labels[:30], class_names=digits.class_names)
    code, out, err = command("inspect", run_copy, tmp_path / "new.npz")
    assert (code, out) == (2, "")
    assert "new: it has no split 'validation'. Choose with --split of: test." in err
