import io
import os

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from eyebright.backend import keras
from eyebright.errors import StorageError
from eyebright.models import Architecture, build_model, freeze
from eyebright.settings import Settings
from eyebright.training.batches import batch_positions
from eyebright.training.tensorboard import TensorBoardLog, first_layer_pictures
from eyebright.training.trainer import resume

SCALARS = {"loss", "train_accuracy", "learning_rate", "images_per_second", "validation_loss", "validation_accuracy"}
WEIGHTS = {f"weights/{name}" for name in ("hidden_1/kernel", "hidden_1/bias", "logits/kernel", "logits/bias")}


@pytest.fixture(scope="module")
def run(make_run):
    return make_run()


def read(directory):
    """The events as TensorBoard itself reads them."""
    events = EventAccumulator(str(directory), size_guidance=dict.fromkeys(("scalars", "histograms", "images"), 0))
    return events.Reload()


def steps(events, tag):
    return [event.step for event in events.Scalars(tag)]


def scalars(events):
    """Every scalar by name and step, but for the speed."""
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag != "images_per_second"
    }


def test_every_row_of_metrics_csv_is_there(run):
    rows = np.genfromtxt(run.path / "metrics.csv", delimiter=",", names=True)
    events = read(run.path)
    assert set(events.Tags()["scalars"]) == SCALARS | {"test_accuracy"}
    for name in SCALARS:
        there = ~np.isnan(rows[name])
        assert steps(events, name) == rows["step"][there].tolist()
        assert [event.value for event in events.Scalars(name)] == pytest.approx(rows[name][there], rel=1e-6), name
    assert steps(events, "loss") == [0, 5, 10, 15, 20, 25]
    assert steps(events, "validation_accuracy") == [10, 20, 30]


def test_histograms_of_logits_and_of_each_layers_weights(run, dataset):
    events = read(run.path)
    assert set(events.Tags()["histograms"]) == {"logits"} | WEIGHTS
    assert [event.step for event in events.Histograms("logits")] == [0, 5, 10, 15, 20, 25]
    assert {event.histogram_value.num for event in events.Histograms("logits")} == {30}  # a batch of ten, three classes
    kernel = events.Histograms("weights/hidden_1/kernel")
    assert [event.step for event in kernel] == [0, 5, 10, 15, 20, 25, 30]
    last, weights = kernel[-1].histogram_value, run.classifier.weights["hidden_1/kernel"]
    assert (last.num, sum(last.bucket)) == (weights.size, weights.size)
    assert (last.min, last.max) == pytest.approx((weights.min(), weights.max()))
    assert last.sum == pytest.approx(weights.astype(np.float64).sum(), abs=1e-6)


def test_the_graph_of_one_step_once(run):
    graph = GraphDef.FromString(read(run.path).Graph().SerializeToString())
    assert {"images", "labels", "loss", "gradient", "optimizer", "accuracy"} <= {
        node.name.partition("/")[0] for node in graph.node
    }
    assert "MatMul" in {node.op for node in graph.node}  # of the graph itself: TensorBoard draws no function's inside


def picture(events, tag, position=0):
    return np.asarray(Image.open(io.BytesIO(events.Images(tag)[position].encoded_image_string)))


def test_a_grid_of_training_images_and_the_first_layers_weights_as_pictures(run, dataset):
    events = read(run.path)
    assert [event.step for event in events.Images("examples")] == [0]
    grid = picture(events, "examples")
    assert grid.shape[:2] == (18, 72)  # the ten images of a batch, 8 × 8, each with a line that keeps it apart
    first = dataset.images[batch_positions(0, np.arange(1), 100, 10)[0, 0]]  # the training images are the first 100
    assert np.array_equal(grid[:8, :8].reshape(8, 8, -1)[..., 0], first[..., 0])
    assert [event.step for event in events.Images("first_layer")] == [0, 5, 10, 15, 20, 25, 30]


def test_hyperparameters_and_the_figure_to_compare_runs_by(run):
    events = read(run.path)
    plugin = {
        tag: HParamsPluginData.FromString(content) for tag, content in events.PluginTagToContent("hparams").items()
    }
    values = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert values["learning_rate"].number_value == 0.001
    assert values["hidden_units"].number_value == 8
    assert values["optimizer"].string_value == "sgd"
    assert values["batch_norm"].bool_value is False
    assert "max_steps" not in values
    experiment = plugin["_hparams_/experiment"].experiment
    assert {info.name for info in experiment.hparam_infos} == set(Settings.model_fields)  # also those without a value
    assert [info.name.tag for info in experiment.metric_infos] == ["test_accuracy"]
    (figure,) = events.Scalars("test_accuracy")
    assert (figure.step, figure.value) == (30, pytest.approx(run.results["test_accuracy"]))


@pytest.mark.parametrize("step", [20, 25, 30])
def test_after_a_resume_every_figure_is_there_once(run, step, go_back, dataset, tmp_path):
    """Step 20 is the end of an epoch, 25 is amid one, and at 30 nothing but the end of the run is left to do."""
    directory = go_back(run, tmp_path / "run", step)
    resume(directory, dataset)
    events, expected = read(directory), read(run.path)
    assert len(list(directory.glob("events.out.tfevents.*"))) == 2
    assert scalars(events) == scalars(expected)
    for tag in ("logits", *WEIGHTS):
        found = [(event.step, event.histogram_value) for event in events.Histograms(tag)]
        assert found == [(event.step, event.histogram_value) for event in expected.Histograms(tag)]
    for tag in ("examples", "first_layer"):
        assert [event.step for event in events.Images(tag)] == [event.step for event in expected.Images(tag)]
    assert events.Graph() == expected.Graph()


def test_a_run_that_begins_again_leaves_nothing_of_the_process_before(run, go_back, dataset, tmp_path):
    directory = go_back(run, tmp_path / "run", 0)
    resume(directory, dataset)
    assert len(list(directory.glob("events.out.tfevents.*"))) == 1
    assert scalars(read(directory)) == scalars(read(run.path))


def test_what_is_written_is_there_at_once(tmp_path):
    log = TensorBoardLog(tmp_path, resumed_at=0)
    log.scalars(7, {"loss": 2.5})
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("loss")] == [(7, 2.5)]
    log.close()


def test_two_processes_of_the_same_second_have_files_of_their_own_in_order(tmp_path):
    for step in (1, 2, 3):
        log = TensorBoardLog(tmp_path, resumed_at=step)
        log.scalars(step, {"loss": step})
        log.close()
    assert len(os.listdir(tmp_path)) == 3  # noqa: PTH208
    assert steps(read(tmp_path), "loss") == [1, 2, 3]


def test_a_directory_that_is_not_there_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(StorageError, match=r"missing/events\.out\.tfevents\S+: cannot be written: No such file"):
        TensorBoardLog(tmp_path / "missing", resumed_at=0)


def model_of(shape, units, flatten=True):
    images = keras.Input(shape, dtype="uint8")
    x = keras.layers.Flatten()(images) if flatten else keras.layers.Conv2D(4, 3)(images)
    return keras.Model(images, keras.layers.Dense(units)(x if flatten else keras.layers.Flatten()(x)))


@pytest.mark.parametrize(("units", "shown"), [(5, 5), (100, 64)])
def test_first_layer_pictures_are_the_weights_of_each_unit_stretched(units, shown):
    model = model_of((4, 6, 3), units)
    kernel = model.trainable_variables[0]
    pictures = first_layer_pictures(model)
    assert pictures.shape == (shown, 4, 6, 3)
    assert pictures.dtype == np.uint8
    weights = kernel.numpy()[:, 1].reshape(4, 6, 3)
    expected = (weights - weights.min()) / (weights.max() - weights.min()) * 255
    assert np.abs(pictures[1] - expected).max() <= 1
    kernel.assign(np.zeros(kernel.shape))
    assert (first_layer_pictures(model) == 0).all()


def test_first_layer_pictures_are_none_where_the_layer_does_not_look_at_all_pixels():
    assert first_layer_pictures(model_of((8, 8, 3), 5, flatten=False)) is None


def test_a_frozen_first_layer_is_drawn_all_the_same():
    """Batch normalisation of as many units as there are pixels is no picture, though it is trained first."""
    shape = {"image_shape": (8, 8, 1), "classes": 3, "preprocessing": "mean-image"}
    model = build_model(Architecture(model="fc", hidden_units=64, batch_norm=True, **shape))
    freeze(model, ("hidden_1",))
    assert first_layer_pictures(model).shape == (64, 8, 8, 1)
