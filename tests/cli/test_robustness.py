import json

import pytest
from PIL import Image


def looks(run):
    return json.loads((run / "results.json").read_text())["test_looks"]


@pytest.fixture(scope="module")
def kinds():
    return ["gaussian-noise", "blur", "jpeg", "brightness", "contrast", "shift", "rotation", "occlusion"]


def test_json_has_the_names_that_machines_read(run_copy, command, kinds):
    code, out, err = command("robustness", run_copy, "--images", 40, "--json")
    assert (code, err) == (0, "")
    read = json.loads(out)
    assert read.keys() == {
        "n", "seed", "accuracy", "accuracy_ci95", "mean_corrupted", "corrupted", "data", "split", "test_looks",
    }  # fmt: skip
    assert (read["n"], read["data"], read["split"], read["test_looks"]) == (40, "digits", "validation", None)
    assert list(read["corrupted"]) == kinds
    assert looks(run_copy) == 1


def test_people_get_a_table_and_a_chart(run_copy, tmp_path, command, kinds):
    path = tmp_path / "chart.png"
    code, out, err = command("robustness", run_copy, "--images", 40, "-o", path)
    assert (code, err) == (0, "")
    assert out.startswith("Accuracy 0.")
    assert all(kind in out for kind in kinds)
    assert out.endswith(f"{path}\n")
    with Image.open(path) as picture:
        assert picture.format == "PNG"


def test_same_seed_same_figures(run_copy, command):
    one, again, other = (command("robustness", run_copy, "--images", 30, "--seed", s, "--json").out for s in (3, 3, 4))
    assert one == again != other


def test_test_images_are_a_look(run_copy, command):
    code, out, _ = command("robustness", run_copy, "--split", "test", "--images", 20, "--json")
    assert code == 0
    assert json.loads(out)["test_looks"] == looks(run_copy) == 2


def test_what_cannot_be_done_is_refused(run_copy, command):
    for arguments, message in (
        (["--split", "tets"], "SettingsError: --split tets: no such split. Did you mean 'test'?"),
        (["-o", "chart.svg"], "SettingsError: --output chart.svg: the chart is a PNG"),
    ):
        code, out, err = command("robustness", run_copy, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(message)
    (run_copy / "results.json").unlink()
    code, _, err = command("robustness", run_copy)
    assert code == 2
    assert "this run is not finished" in err
    assert "--checkpoint" not in err
