"""The file format alone, on parts of any content: what is in them is for others to read."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.artefact import KIND, VERSION, artefact_bytes, read_artefact
from eyebright.errors import ClassifierError
from eyebright.storage import MANIFEST, json_bytes, manifest_bytes, sha256

PARTS = {
    "labels.json": b'{"a": 1}\n',
    "model.onnx": bytes(range(256)) * 8,
    "README.md": b"# A card\n",
    "empty.json": b"",
}
VERSIONS = {"eyebright": "0.1.0"}
OF_ONE_PART = "50ae885fd96250b16b6a4bce84a7f24a943126817e0ef7e83b8e1ad48e02cc31"  # SHA-256, of version 1
WHOLE = artefact_bytes(PARTS, VERSIONS)


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "a.eyebright"
        path.write_bytes(content)
        return path

    return write


def sealed(members, *, manifest=None, **how):
    """A file by another program, which knows how an artefact ends. Members are (name or ZipInfo, content)."""
    if manifest is None:
        manifest = manifest_bytes(PARTS, kind=KIND, version=VERSION, versions=VERSIONS)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as archive:
        for member, content in [(MANIFEST, manifest), *members]:
            archive.writestr(member, content)
        archive.comment = bytes(64)
    content = buffer.getvalue()[:-64]
    return content + sha256(content).encode()


def test_what_is_written_is_read(written):
    parts = read_artefact(written(WHOLE))
    manifest = json.loads(parts.pop(MANIFEST))
    assert parts == PARTS
    assert (manifest["kind"], manifest["version"], manifest["versions"]) == (KIND, VERSION, VERSIONS)


def test_the_same_parts_give_the_same_bytes_in_whatever_order_they_come():
    assert artefact_bytes(dict(reversed(PARTS.items())), VERSIONS) == WHOLE


def test_the_bytes_of_version_1_are_those_that_they_were():
    assert sha256(artefact_bytes({"a.json": b"{}\n"}, {})) == OF_ONE_PART


def test_any_program_for_zip_files_reads_it():
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted([*PARTS, MANIFEST])
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.comment.decode() == sha256(WHOLE[:-64])


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}\.[a-z]{1,4}", fullmatch=True), st.binary(max_size=99), max_size=9))
def test_any_parts_are_read_as_they_were_written(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("any") / "a.eyebright"
    path.write_bytes(artefact_bytes(parts, {}))
    read = read_artefact(path)
    del read[MANIFEST]
    assert read == parts


def test_each_flipped_bit_is_found(written):
    places = np.random.default_rng(0).choice(8 * len(WHOLE), 500, replace=False).tolist()
    places += range(8 * (len(WHOLE) - 400), 8 * len(WHOLE), 7)  # the archive's directory, its end, and the comment
    for place in places:
        flipped = bytearray(WHOLE)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ClassifierError, match=r"a\.eyebright: (damaged|no Eyebright artefact)"):
            read_artefact(written(bytes(flipped)))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "a.eyebright"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(ClassifierError, match="no Eyebright artefact"):
        read_artefact(path)


@pytest.mark.parametrize("more", [b"\0", b"PK", WHOLE], ids=["a byte", "a mark", "itself"])
def test_a_file_with_something_before_or_behind_it_is_refused(more, written):
    if more != WHOLE:
        with pytest.raises(ClassifierError, match="no Eyebright artefact"):
            read_artefact(written(more + WHOLE))
    with pytest.raises(ClassifierError, match="no Eyebright artefact"):
        read_artefact(written(WHOLE + more))


OWN = list(PARTS.items())
LINK = zipfile.ZipInfo("link.json")
LINK.external_attr = 0o120777 << 16
NAMES = [
    "../labels.json", "..\\labels.json", "/etc/passwd", "C:\\a.json", "a/../b.json", "folder/", "folder/a.json", ".",
    "..", ".hidden", "a", "a.json ", "a.json\n", "ä.json",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_member_of_such_a_name_is_refused(name, written):
    with pytest.raises(ClassifierError, match="no name of an artefact's part"):
        read_artefact(written(sealed([*OWN, (name, b"")])))


@pytest.mark.parametrize("name", ["../labels.json", "/labels.json"])
def test_so_is_a_manifest_that_names_it(name, written):
    manifest = manifest_bytes({**PARTS, name: b"x"}, kind=KIND, version=VERSION)
    with pytest.raises(ClassifierError, match="no name of an artefact's part"):
        read_artefact(written(sealed([*OWN, (name, b"x")], manifest=manifest)))
    with pytest.raises(ClassifierError, match=r"missing|damaged"):
        read_artefact(written(sealed(OWN, manifest=manifest)))


@pytest.mark.parametrize("extra", [("more.json", b"{}"), ("code.py", b"print()"), (LINK, b"/etc/passwd")], ids=str)
def test_a_member_that_the_manifest_does_not_name_is_refused(extra, written):
    with pytest.raises(ClassifierError, match="names no such member"):
        read_artefact(written(sealed([*OWN, extra])))


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_member_is_named(name, written):
    with pytest.raises(ClassifierError, match=rf"{name}: missing"):
        read_artefact(written(sealed([(other, content) for other, content in OWN if other != name])))


@pytest.mark.parametrize("name", PARTS)
def test_another_content_of_a_member_is_named(name, written):
    others = [(other, content + b"!" * (other == name)) for other, content in OWN]
    with pytest.raises(ClassifierError, match=rf"{name}: damaged"):
        read_artefact(written(sealed(others)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(written):
    with pytest.raises(ClassifierError, match="twice"):
        read_artefact(written(sealed([*OWN, ("labels.json", PARTS["labels.json"])])))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused_before_they_are_read(method, written):
    bomb = bytes(50_000_000)
    parts = {"bomb.bin": bomb}
    manifest = manifest_bytes(parts, kind=KIND, version=VERSION)
    with pytest.raises(ClassifierError, match="compressed"):
        read_artefact(written(sealed(parts.items(), manifest=manifest, compression=method)))


def test_members_that_overlap_are_refused(written):
    """A bomb of stored members: many names in the directory for the same bytes."""
    content = bytearray(sealed([("a.bin", bytes(5000)), ("b.bin", bytes(5000))]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start, second = archive.start_dir, archive.getinfo("b.bin").header_offset
    place = content.index(second.to_bytes(4, "little"), start)
    content[place : place + 4] = (second - 3000).to_bytes(4, "little")
    changed = bytes(content[:-64])
    with pytest.raises(ClassifierError):
        read_artefact(written(changed + sha256(changed).encode()))


def test_more_members_than_any_artefact_has_are_refused(written):
    parts = {f"a{number}.json": b"" for number in range(64)}
    with pytest.raises(ClassifierError, match="65 members"):
        read_artefact(written(artefact_bytes(parts, {})))


def test_a_newer_version_says_what_to_do(written):
    manifest = manifest_bytes(PARTS, kind=KIND, version=VERSION + 1)
    with pytest.raises(ClassifierError, match=r"version 2 is newer than this Eyebright reads \(1\)\. Upgrade"):
        read_artefact(written(sealed([*OWN, ("new.json", b"")], manifest=manifest)))


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", json_bytes({"files": {}}), manifest_bytes(PARTS, kind="eyebright-checkpoint", version=1)],
    ids=["empty", "no JSON", "a list", "unsealed", "another kind"],
)
def test_a_manifest_of_something_else_is_refused(manifest, written):
    with pytest.raises(ClassifierError, match=r"damaged|kind"):
        read_artefact(written(sealed(OWN, manifest=manifest)))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\3\4" + bytes(99), b"no zip" * 99, bytes(22)], ids=repr)
def test_other_files_are_refused(content, written):
    with pytest.raises(ClassifierError, match="no Eyebright artefact"):
        read_artefact(written(content))
    with pytest.raises(ClassifierError, match="no Eyebright artefact"):
        read_artefact(written(b"PK" + content + sha256(b"PK" + content).encode()))
