"""The tutorial: all its commands and snippets run, in order, on a hundredth of the images and a few steps."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"


def load_runner():
    spec = importlib.util.spec_from_file_location("run", ROOT / "docs" / "tutorial" / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


runner = load_runner()
PARTS = pytest.mark.parametrize("part", runner.PARTS, ids=lambda part: part.stem)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CIFAR-10 in small: 500 training and 100 test images of its size and classes, each class of its own colour."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 60)
    colours = generator.integers(60, 195, (10, 1, 1, 3))
    images = (colours[labels] + generator.integers(-60, 60, (600, 32, 32, 3))).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    names = np.array(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
    np.savez(path, images=images, labels=labels, class_names=names, train=np.arange(500), test=np.arange(500, 600))
    return path


def in_small(code):
    """A block in small: a hundredth of the images, 1 of 250 steps, one epoch, and three trials of a search."""
    small = {
        "batch-size 100": "batch-size 10",
        "45000": "450",
        "5000": "50",
        "step-1000": "step-4",
        "steps=1000": "steps=4",
    }
    code = code.replace("\\\n", " ")
    for number, smaller in small.items():
        code = re.sub(rf"(?<!\w){number}\b", smaller, code)
    code = re.sub(r"--max-steps (\d+)", lambda match: f"--max-steps {int(match[1]) // 250}", code)
    code = re.sub(r"--epochs \d+", "--epochs 1", code)
    code = re.sub(r"--minutes \d+", "--trials 3", code)
    return re.sub(r"^eyebright train (?!.*--(?:epochs|max-steps)).*$", r"\g<0> --max-steps 8", code, flags=re.MULTILINE)


@PARTS
def test_commands_and_snippets_run(part, data, page_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": part.stem}
    for block in runner.read_blocks(part):
        block = runner.block_on(block, str(data))
        block = runner.Block(block.file, block.line, block.language, in_small(block.code), block.long)
        try:
            runner.run_block(block, names, page_command)
        except BaseException as error:
            error.add_note(f"in {part.name}, the block after line {block.line}")
            raise
    for picture in runner.shown_pictures(part):
        assert (tmp_path / picture).stat().st_size > 100


@PARTS
def test_every_block_is_one_that_is_run_or_plain_text(part):
    fences = re.findall(r"^```(.*)$", part.read_text(encoding="utf-8"), re.MULTILINE)
    languages = fences[::2]
    assert set(fences[1::2]) == {""}
    assert set(languages) <= {"sh", "python", "text", "console"}
    assert len(runner.read_blocks(part)) == languages.count("sh") + languages.count("python") > 5


@PARTS
def test_pictures_are_there_and_made_by_a_block_that_make_pictures_runs(part):
    made = " ".join(block.code for block in runner.read_blocks(part) if not block.long)
    pictures = runner.shown_pictures(part)
    assert pictures
    for picture in pictures:
        assert f"-o {picture}" in made or f'save("{picture}")' in made
        assert 100 < (IMAGES / picture).stat().st_size < 300_000


def test_make_pictures_runs_the_tutorial():
    commands = subprocess.run(
        ["make", "--dry-run", "pictures", "DATA=some/where"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert '/python docs/tutorial/run.py --data "some/where"' in commands


def test_every_picture_of_the_docs_is_shown_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = " ".join(page.read_text(encoding="utf-8") for page in pages)
    for picture in IMAGES.iterdir():
        assert f"images/{picture.name})" in text, f"{picture} is shown nowhere"


@PARTS
def test_links_lead_somewhere(part):
    links = re.findall(r"\]\(([^):#]+)\)", part.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (part.parent / link).exists(), link
