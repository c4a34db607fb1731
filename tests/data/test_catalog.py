import re
from pathlib import Path

import pytest

from eyebright.data.catalog import CATALOG, CatalogFile, is_here

FILES = [file for entry in CATALOG.values() for file in entry.files]


def with_form(entry, form, data_dir):
    for path in form:
        (data_dir / entry.name / path).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / entry.name / path).touch()


def test_the_catalogue_has_these_data_sets():
    sizes = {name: (entry.images, entry.image_shape, len(entry.class_names)) for name, entry in CATALOG.items()}
    assert sizes == {
        "digits": (1_797, (8, 8, 1), 10),
        "cifar10": (60_000, (32, 32, 3), 10),
        "cifar100": (60_000, (32, 32, 3), 100),
        "mnist": (70_000, (28, 28, 1), 10),
        "fashion-mnist": (70_000, (28, 28, 1), 10),
    }
    assert [name for name, entry in CATALOG.items() if not entry.files] == ["digits"]


@pytest.mark.parametrize("name", CATALOG)
def test_an_entry_is_complete(name):
    entry = CATALOG[name]
    assert entry.name == name
    assert entry.title
    assert entry.licence
    assert entry.citation.endswith((".", "C50P49", "1708.07747"))
    assert len(set(entry.class_names)) == len(entry.class_names)
    assert entry.download_bytes == sum(file.size for file in entry.files)


def test_the_names_of_cifar10s_classes_are_those_of_its_own_file(cifar10_path):
    assert list(CATALOG["cifar10"].class_names) == (cifar10_path / "batches.meta.txt").read_text().split()


def test_cifar100s_classes_are_in_the_order_of_its_labels_which_is_the_alphabets():
    assert sorted(CATALOG["cifar100"].class_names) == list(CATALOG["cifar100"].class_names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_an_address_a_size_and_a_sha256_of_its_own(file):
    assert re.fullmatch(r"https?://[a-z0-9.-]+/\S+", file.url)
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert sum(other.sha256 == file.sha256 for other in FILES) == 1
    assert file.size > 5_000


@pytest.mark.parametrize("entry", [entry for entry in CATALOG.values() if entry.files], ids=lambda entry: entry.name)
def test_what_a_download_brings_is_the_first_form_that_is_looked_for(entry):
    brought = tuple(dict.fromkeys(file.members[0].split("/")[0] if file.members else file.name for file in entry.files))
    assert entry.forms[0] == brought


@pytest.mark.parametrize(
    "member", ["../outside", "/etc/passwd", "set/../../outside", "set/..", "file-without-a-directory", "set\\..\\out"]
)
def test_a_member_that_could_lead_elsewhere_is_refused(member):
    with pytest.raises(ValueError, match="no plain name of a member"):
        CatalogFile("https://example.org/set.tar.gz", "0" * 64, 1, ("set/good", member))


def test_members_in_two_directories_are_refused():
    with pytest.raises(ValueError, match="several directories: one, two"):
        CatalogFile("https://example.org/set.tar.gz", "0" * 64, 1, ("one/a", "two/b"))


def test_digits_is_always_here(tmp_path):
    assert is_here(CATALOG["digits"], tmp_path / "no directory")


@pytest.mark.parametrize(
    ("entry", "form"),
    [(entry, form) for entry in CATALOG.values() for form in entry.forms],
    ids=lambda value: value.name if hasattr(value, "name") else value[0],
)
def test_each_form_is_found_when_it_is_whole(tmp_path, entry, form):
    assert not is_here(entry, tmp_path)
    with_form(entry, form[:-1], tmp_path)
    assert not is_here(entry, tmp_path)
    assert entry.found_in(tmp_path) is None

    with_form(entry, form, tmp_path)
    assert is_here(entry, tmp_path)
    alone = len(form) == 1
    assert entry.found_in(tmp_path) == (tmp_path / entry.name / form[0] if alone else tmp_path / entry.name)


def test_where_nothing_can_be_looked_up_nothing_is_here():
    assert not is_here(CATALOG["mnist"], Path("/", "x" * 300))  # the system refuses so long a name
