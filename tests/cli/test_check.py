"""The command `check`: what it prints and writes, its exit codes, and bad input."""

import base64
import io
import json
import os
import re
import shlex
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eyebright import load_dataset

SOFT = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), np.uint8)


def picture(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def clean(tmp_path):
    """Forty different pictures in two classes."""
    for number, pixels in enumerate(SOFT):
        picture(tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png", pixels)
    return tmp_path / "pictures"


def test_clean_data_exit_with_0(clean, command):
    code, out, _ = command("check", clean)
    assert code == 0
    assert out.splitlines() == [
        "classes: a 20, b 20",
        "sizes: 24 × 24 40",
        "pixels: colour 40",
        "formats: PNG 40",
        "Nothing found in 40 images of pictures.",
    ]
    assert command("check", "digits").code == 0


def test_json_alone_stands_on_standard_output(clean, command):
    (clean / "a" / "empty.jpg").touch()
    picture(clean / "a" / "twin.bmp", SOFT[0])
    picture(clean / "b" / "other.png", SOFT[2])
    code, out, err = command("check", clean, "--json")
    assert (code, err) == (3, "")
    report = json.loads(out)
    assert report["images"] == 43
    assert report["overview"]["classes"] == {"a": 21, "b": 21}
    assert report["findings"] == [
        {
            "kind": "unreadable",
            "severity": "error",
            "message": "a/empty.jpg: empty (0 bytes).",
            "images": ["a/empty.jpg"],
        },
        {
            "kind": "conflicting-labels",
            "severity": "error",
            "message": "a/2.png, b/other.png: the same pixels, labelled a and b",
            "images": ["a/2.png", "b/other.png"],
        },
        {
            "kind": "exact-duplicate",
            "severity": "warning",
            "message": "a/0.png, a/twin.bmp: the same pixels",
            "images": ["a/0.png", "a/twin.bmp"],
        },
    ]


def test_the_table_has_counts_examples_and_advice(clean, command):
    for number in range(5):
        (clean / "a" / f"empty-{number}.jpg").touch()
    code, out, _ = command("check", clean)
    assert code == 3
    assert re.search(r"│ unreadable +│ 5 +│ 5 +│ a/empty-0.jpg: empty \(0 bytes\)", out)
    assert "… and 2 more" in out
    assert "→ Get them anew, or leave them out." in out
    assert "5 findings in 45 images of pictures." in out


def test_the_list_leaves_out_what_was_found_and_train_takes_it(clean, command, tmp_path):
    (clean / "a" / "empty.jpg").touch()
    (clean / "a" / "#1.jpg").touch()
    picture(clean / "a" / "twin.png", SOFT[0])
    listed = tmp_path / "not-these.txt"
    code, out, _ = command("check", clean, "--fix-list", listed)
    assert (code, out.splitlines()[-1]) == (3, f"Written: {listed}, which leaves out 3 of 43 images")
    lines = [line for line in listed.read_text().splitlines() if not line.startswith("# ")]
    assert lines == ["a/#1.jpg", "a/empty.jpg", "a/twin.png"]
    assert command("check", clean, "--exclude", listed).code == 0
    short = ("--model", "softmax", "--max-steps", 2, "--batch-size", 10, "--run-dir", tmp_path / "run")
    code, out, err = command("train", clean, "--exclude", listed, "--strict", *short)
    assert code == 0, err
    assert (clean / "a" / "empty.jpg").exists()


def test_what_was_excluded_stays_excluded_by_the_new_list(clean, command, tmp_path):
    for number in range(3):
        (clean / "a" / f"empty-{number}.jpg").touch()
    mine = "# mine\na/empty-0.jpg"  # without an end of line
    for target in ("other.txt", "mine.txt"):
        (tmp_path / "mine.txt").write_text(mine)
        flags = ("--exclude", tmp_path / "mine.txt", "--fix-list", tmp_path / target)
        assert command("check", clean, *flags).code == 3
        content = (tmp_path / target).read_text()
        assert content.startswith(mine + "\n# Made by eyebright check")
        assert "\na/empty-1.jpg\n" in content
        assert command("check", clean, "--exclude", tmp_path / target).code == 0


def test_where_nothing_can_be_written_is_known_before_the_work(command):
    code, out, err = command("check", "no-such-data", "--html", "/proc/page.html")
    assert (code, out) == (2, "")
    assert err.startswith("StorageError: /proc/page.html: cannot be written: ")


def test_the_page_needs_no_network_and_shows_what_was_found(clean, command, tmp_path):
    picture(clean / "a" / "<twin>&.png", SOFT[0])
    (clean / "b" / "empty.jpg").touch()
    code, out, _ = command("check", clean, "--html", tmp_path / "page.html")
    assert (code, out.splitlines()[-1]) == (3, f"Written: {tmp_path / 'page.html'}")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "a/0.png, a/&lt;twin&gt;&amp;.png: the same pixels" in page
    assert "b/empty.jpg: empty (0 bytes)." in page
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert [s for s in sources if not s.startswith(("data:image/webp;base64,", "#"))] == []
    assert sum(source.startswith("data:") for source in sources) == 2
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_large_images_are_thumbnails_on_the_page(command, tmp_path):
    wide = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        picture(tmp_path / "large" / name, wide)
    assert command("check", tmp_path / "large", "--image-size", "300x400", "--html", tmp_path / "page.html").code == 3
    sources = re.findall(r'src="data:image/webp;base64,([^"]*)"', (tmp_path / "page.html").read_text("utf-8"))
    assert {Image.open(io.BytesIO(base64.b64decode(source))).size for source in sources} == {(96, 72)}


def test_arrays_are_checked_too_and_their_images_excluded_by_number(command, tmp_path):
    images, labels = SOFT.copy(), np.arange(40) % 2
    images[38], images[7] = images[0], 0
    np.savez(tmp_path / "some.npz", x_train=images[:30], y_train=labels[:30], x_test=images[30:], y_test=labels[30:])
    code, out, _ = command("check", tmp_path / "some.npz", "--json", "--fix-list", tmp_path / "list.txt")
    report = json.loads(out)
    assert code == 3
    assert [(finding["kind"], finding["images"]) for finding in report["findings"]] == [
        ("leakage", ["0", "38"]),
        ("constant-image", ["7"]),
    ]
    assert report["notes"][0].startswith("Leakage: 1 of 10 test images (10.00%) have a twin in another split.")
    code, out, _ = command("check", tmp_path / "some.npz", "--json", "--exclude", tmp_path / "list.txt")
    assert (code, json.loads(out)["findings"]) == (0, [])


def test_data_of_which_nothing_can_be_read_are_reported(command, tmp_path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("words")
    code, out, _ = command("check", tmp_path / "data", "--json", "--html", tmp_path / "page.html")
    assert code == 3
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["unreadable"] * 2


BAD = {
    "nothing": (("none",), "'none' is neither the name of a data set nor a path that exists."),
    "a file of another kind": (("words.txt",), "words.txt: this file is not recognised."),
    "no folder for the list": (("digits", "--fix-list", "none/x.txt"), "none/x.txt: cannot be written"),
    "a folder as page": (("digits", "--html", "."), ".: cannot be written"),
    "no list": (("digits", "--exclude", "none.txt"), "none.txt: the list of exclusions cannot be read"),
    "one file for list and page": (("digits", "--html", "x", "--fix-list", "./x"), "--html x: this is the file of --f"),
    "the list as page": (("digits", "--exclude", "words.txt", "--html", "words.txt"), "this is the file of --exclude"),
    "the data as list": (("few.csv", "--fix-list", "few.csv"), "--fix-list few.csv: this is the file of DATA"),
    "a page of too long a name": (("none", "--html", "a" * 300 + ".html"), "aaa.html: cannot be written: File name"),
    "an option of pictures": (("digits", "--fit", "pad"), "--fit: is for picture files"),
    "an option that is none": (("digits", "--fit", "twist"), "--fit twist: "),
    "groups of nothing": (("few", "--group-regex", "z"), "--group-regex 'z' matches nothing in a/0.png"),
    "no column": (("few.csv", "--group-column", "who"), "who"),
    "a colour that is none": (("digits", "--colour", "blue"), "--colour blue: "),
    "no number": (("digits", "--max-pixels", "0"), "--max-pixels 0: "),
    "no data": ((), "Missing argument"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_checked_exits_with_2_and_says_why(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("words")
    for few in ("few/a/0.png", "few/b/1.png"):
        picture(tmp_path / few, SOFT[0])
    (tmp_path / "few.csv").write_text("path,label\nfew/a/0.png,a\nfew/b/1.png,b\n")
    arguments, words = BAD[name]
    code, out, err = command("check", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_a_pipe_and_a_broken_link_are_named_and_not_waited_for(clean, command):
    os.mkfifo(clean / "a" / "pipe.png")
    (clean / "a" / "link.png").symlink_to("nowhere")
    code, out, _ = command("check", clean, "--json")
    assert code == 3
    assert {tuple(finding["images"]) for finding in json.loads(out)["findings"]} == {("a/pipe.png",), ("a/link.png",)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["png", "jpg", "bmp", "gif", "webp", "tiff"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20),
    st.floats(0, 1),
)
def test_mutated_pictures_never_end_in_a_traceback(command, tmp_path_factory, suffix, changes, kept):
    folder = tmp_path_factory.mktemp("mutated")
    for number, pixels in enumerate(SOFT[:6]):
        picture(folder / "ab"[number % 2] / f"{number}.png", pixels)
    target = folder / "a" / f"mutated.{suffix}"
    picture(target, SOFT[6])
    content = bytearray(target.read_bytes())
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    target.write_bytes(content[: int(kept * len(content))])
    code, out, err = command("check", folder, "--json")
    assert (code, "Traceback" in err) == (3, False)  # the classes are small, whatever the picture is
    for finding in json.loads(out)["findings"]:
        assert finding["kind"] not in ("unreadable", "truncated") or "a/mutated." in finding["message"]


SHORT = ("--model", "softmax", "--max-steps", 2, "--batch-size", 10)


def test_train_says_in_a_line_what_the_quick_part_finds(clean, command, tmp_path):
    code, out, _ = command("train", clean, "--run-dir", tmp_path / "one", *SHORT)
    assert code == 0
    assert "Checked 40 images: nothing found. More is looked for by: " in out
    picture(clean / "a" / "twin.png", SOFT[0])
    picture(clean / "b" / "black.png", SOFT[0] * 0)
    code, out, _ = command("train", clean, "--run-dir", tmp_path / "two", *SHORT)
    assert code == 0
    assert "Checked 42 images, and found: 1 exact-duplicate, 1 constant-image. See: " in out
    assert f"check {clean}\n" in out


def test_the_command_that_train_suggests_reads_the_same_pictures_as_it_does(clean, command, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: "eyebright")
    (tmp_path / "not these.txt").write_text("pictures/a/0.png\n")
    rows = [f"pictures/{'ab'[n % 2]}/{n}.png,{'ab'[n % 2]},{n // 2}" for n in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["file,kind,who", *rows]))
    options = {
        "--image-size": "8x9",
        "--fit": "pad",
        "--colour": "grey",
        "--max-pixels": "1000",
        "--image-column": "file",
        "--label-column": "kind",
        "--group-column": "who",
        "--exclude": str(tmp_path / "not these.txt"),
    }
    given = ["--allow-outside", *[word for option in options.items() for word in option]]
    code, out, err = command("train", tmp_path / "table.csv", *given, "--run-dir", tmp_path / "run", *SHORT)
    assert code == 0, err
    suggested = shlex.split(re.search(r"(?:by|See): eyebright (.*)", out)[1])
    assert suggested[:2] == ["check", str(tmp_path / "table.csv")]
    assert sorted(suggested[2:]) == sorted(given)
    answer = command(*suggested, "--json")
    assert (answer.code, json.loads(answer.out)["images"]) == (0, 39)
    assert json.loads(answer.out)["notes"][0].startswith("1 pictures left out by ")
    flags = ("--data-dir", tmp_path, "--run-dir", tmp_path / "two")
    code, out, err = command("train", tmp_path / "table.csv", *given, *flags, *SHORT)
    assert f" --data-dir {tmp_path}" in out + err


def test_strict_refuses_before_there_is_a_run(clean, command, tmp_path):
    picture(clean / "a" / "twin.png", SOFT[0])
    code, out, err = command("train", clean, "--run-dir", tmp_path / "run", "--strict", "--quiet", *SHORT)
    assert (code, out) == (2, "")
    assert err.startswith(f"DataError: {clean}: --strict trains on nothing in which something was found (1 finding):\n")
    assert "  exact-duplicate: a/0.png, a/twin.png: the same pixels\n" in err
    assert not (tmp_path / "run").exists()


def test_strict_has_no_meaning_beside_resume(run_copy, command):
    code, _, err = command("train", "--resume", run_copy, "--strict")
    assert (code, err) == (
        2,
        "RunError: --strict: has no meaning beside --resume, which goes on with a run as it is.\n",
    )


def test_label_errors_are_findings_like_others_the_worst_first(tmp_path, command):
    digits = load_dataset("digits")
    labels = digits.labels.copy()
    labels[:20] = (labels[:20] + 5) % 10
    np.savez(tmp_path / "digits.npz", images=digits.images, labels=labels)
    flags = ("--label-errors", "--run-dir", tmp_path / "runs")
    code, out, err = command("check", tmp_path / "digits.npz", *flags, "--json")
    assert (code, err) == (3, "")
    found = [finding for finding in json.loads(out)["findings"] if finding["kind"] == "label-error"]
    assert sum(int(finding["images"][0]) < 20 for finding in found[:20]) >= 12
    assert {"given_label", "suggested_label", "confidence"} <= found[0].keys()
    answer = command("check", tmp_path / "digits.npz", *flags, "--fix-list", tmp_path / "fix.txt")
    assert answer.code == 3
    assert found[0]["message"] in answer.out
    assert "Checking labels: fold 3 of 3: accuracy" in answer.err
    assert f"\n{found[0]['images'][0]}\n" in (tmp_path / "fix.txt").read_text()


def test_labels_that_cannot_be_checked_are_an_error(clean, tmp_path, command):
    code, out, err = command("check", clean, "--run-dir", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert "--run-dir" in err
    assert "with --label-errors alone" in err
    for path in clean.rglob("*.png"):
        path.write_bytes(b"")
    code, out, err = command("check", clean, "--label-errors")
    assert (code, out) == (2, "")
    assert "Labels cannot be checked: no image can be read." in err


@pytest.mark.parametrize(
    ("flags", "advice"),
    [((), "Nothing of it was kept; --run-dir keeps it."), (("--run-dir",), "Give the same command again to go on.")],
)
def test_a_signal_while_labels_are_checked_ends_it_and_says_what_was_kept(flags, advice, tmp_path, start):
    flags = (*flags, *[tmp_path / "runs"] * len(flags))
    program = start("check", "digits", "--label-errors", *flags)
    first = program.stderr.readline()
    assert first.startswith("Checking labels: fold 1 of 3: accuracy")
    program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 143
    assert re.match(r"TrainingInterrupted: Checking labels: fold [12] of 3: (Finished|Stopped at step \d+), while", err)
    assert err.endswith(f", while labels were being checked. {advice}\n")
    assert (tmp_path / "runs" / "fold-1").is_dir() == bool(flags)
