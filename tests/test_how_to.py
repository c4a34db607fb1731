"""The how-to pages, and what others have: all commands and snippets run, in order; training is cut to a few steps."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load_runner():
    spec = importlib.util.spec_from_file_location("how_to_run", ROOT / "docs" / "tutorial" / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["how_to_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


runner = load_runner()
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
# The tutorial has a test of its own.
OTHERS = [
    page for page in sorted(DOCS.rglob("*.md")) if page not in {*HOW_TO, *runner.PARTS} and runner.read_blocks(page)
]


# Keras 3.15 turns its variables into arrays in a way that NumPy 2 warns of, where it writes a file of weights.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("page", [*HOW_TO, *OTHERS], ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page, page_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = runner.read_blocks(page)
    assert blocks
    names = {}
    for block in blocks:
        if not block.long:
            runner.run_block(block, names, lambda arguments: page_command(in_small(arguments)))


def in_small(arguments):
    """The command as the page has it, but for the length of a training."""
    long = arguments[:2] == ["eyebright", "train"] and not {"--folds", "--resume"} & set(arguments)
    short = ["--max-steps", "8"] if long else []
    return [*expanded(arguments), *short]


def expanded(arguments):
    """A shell's globs."""
    return [
        match
        for argument in arguments
        for match in (sorted(map(str, Path().glob(argument))) if "*" in argument else [argument])
    ]
