import json

import pytest

from eyebright.data.catalog import CATALOG


def test_json_has_what_the_catalogue_has(tmp_path, command):
    code, out, err = command("datasets", "--data-dir", tmp_path, "--json")
    assert (code, err) == (0, "")
    read = json.loads(out)
    assert [entry["name"] for entry in read] == list(CATALOG)
    for entry in read:
        of = CATALOG[entry["name"]]
        assert entry == {
            "name": of.name, "title": of.title, "images": of.images, "image_shape": list(of.image_shape),
            "classes": len(of.class_names), "download_bytes": of.download_bytes, "licence": of.licence,
            "citation": of.citation, "here": of.name == "digits",
        }  # fmt: skip


def test_table_shows_each_with_its_licence_and_citation_unwrapped(tmp_path, command):
    code, out, err = command("datasets", "--data-dir", tmp_path)
    assert (code, err) == (0, "")
    for entry in CATALOG.values():
        (row,) = (line for line in out.splitlines() if line.startswith(f"│ {entry.name} "))
        assert entry.licence in row
        assert f"{entry.images:,}" in row
        assert f"{entry.name}: {entry.title}. {entry.citation}" in out.splitlines()
    assert str(tmp_path) in out.splitlines()[-1]


@pytest.mark.parametrize("by_flag", [True, False])
def test_what_lies_in_the_data_directory_is_here(by_flag, tmp_path, command, monkeypatch):
    (tmp_path / "cifar10" / "cifar-10-batches-bin").mkdir(parents=True)
    monkeypatch.setenv("EYEBRIGHT_DATA", str(tmp_path / "elsewhere" if by_flag else tmp_path))
    read = json.loads(command("datasets", "--json", *(("--data-dir", tmp_path) if by_flag else ())).out)
    assert {entry["name"] for entry in read if entry["here"]} == {"digits", "cifar10"}
