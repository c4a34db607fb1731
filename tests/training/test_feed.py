from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.dataset import Dataset
from eyebright.settings import Settings
from eyebright.training import feed
from eyebright.training.feed import ResidentFeed, StreamingFeed, build_feed
from eyebright.training.plan import Plan
from eyebright.training.trainer import resume, train

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 3, 2, 1), np.uint8)
DATASET = Dataset(IMAGES, np.arange(40, dtype=np.int32) % 3, ("a", "b", "c"), "noise")
PLAN = Plan(Settings(batch_size=6, epochs=4), np.arange(3, 40), (3, 2, 1))  # of 24 steps
STEP_BYTES = 6 * 3 * 2


@pytest.fixture
def mapped(dataset, tmp_path):
    """The small data set, its images mapped from a file."""
    (tmp_path / "images").write_bytes(dataset.images.tobytes())
    return replace(dataset, images=np.memmap(tmp_path / "images", np.uint8, "r", shape=dataset.images.shape))


def images_of(part):
    """What the compiled call gathers: uint8 [k, B, H, W, C] and int32 [k, B]."""
    return part.images.numpy()[part.rows], part.labels.numpy()[part.rows]


@given(
    st.integers(1, 30 * STEP_BYTES),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=40)
def test_streamed_images_are_those_of_the_plan_in_its_order_however_steps_are_asked_for(bytes_at_once, stretches):
    streamed = StreamingFeed(DATASET, PLAN, bytes_at_once)
    for first, length in stretches:
        steps = PLAN.steps(np.arange(first, first + length))
        parts = list(streamed.parts(steps))
        assert np.concatenate([part.steps.numbers for part in parts]).tolist() == steps.numbers.tolist()
        for part in parts:
            images, labels = images_of(part)
            assert (images == IMAGES[part.steps.rows]).all()
            assert (labels == DATASET.labels[part.steps.rows]).all()
            assert part.images.shape[0] * 6 <= max(bytes_at_once, STEP_BYTES)


def test_resident_images_are_one_part_and_the_same():
    steps = PLAN.steps(np.arange(5, 20))
    (part,) = ResidentFeed(DATASET).parts(steps)
    assert (images_of(part)[0] == IMAGES[steps.rows]).all()


def test_mapped_images_are_streamed_and_others_are_not(mapped, dataset, make_training, tmp_path):
    plan = make_training().plan
    assert isinstance(build_feed(dataset, plan), ResidentFeed)
    assert isinstance(build_feed(mapped, plan), StreamingFeed)
    view = np.ndarray(mapped.images.shape, np.uint8, mapped.images.data)  # as of an .npz file
    assert isinstance(build_feed(replace(dataset, images=view), plan), StreamingFeed)
    scattered = np.memmap(tmp_path / "images", np.uint8, "r", shape=mapped.images.shape, order="F")
    assert isinstance(build_feed(replace(dataset, images=scattered), plan), ResidentFeed)


EVERYTHING = {
    "augment": "strong", "dropout": 0.3, "accumulate": 2, "class_weights": "balanced", "averaging": "ema",
    "batch_norm": True, "optimizer": "momentum", "learning_rate": 0.01,
}  # fmt: skip


@pytest.mark.parametrize("given", [{}, EVERYTHING], ids=["plain", "everything"])
def test_streamed_and_resumed_a_run_comes_to_the_bits_of_one_with_its_images_in_memory(
    given, mapped, dataset, make_settings, monkeypatch, go_back, read_figures, tmp_path
):
    settings = make_settings(**given)
    resident = train(settings, dataset, tmp_path / "resident")
    monkeypatch.setattr(feed, "_BYTES_AT_ONCE", 3 * 10 * 64)  # three steps; calls are longer
    streamed = train(settings, mapped, tmp_path / "streamed")
    resumed = resume(go_back(streamed, tmp_path / "resumed", 10), mapped)
    for run in (streamed, resumed):
        assert run.results["weights_sha256"] == resident.results["weights_sha256"]
        assert read_figures(run.path) == read_figures(resident.path)
