import numpy as np
import pytest

from eyebright.training.batches import batch_positions


def run(engine, cuts, steps=12, rate=0.001):
    """Train some steps, cut into calls of these lengths; the records of all steps."""
    rows, rates = batch_positions(0, np.arange(steps), 100, 10), np.full(steps, rate, np.float32)
    records, first = [], 0
    for length in cuts:
        part = slice(first, first + length)
        records.append(engine.train(rows[part], rates[part], first))
        first += length
    assert first == steps
    return records


@pytest.mark.parametrize("stateful", [{}, {"dropout": 0.4, "batch_norm": True, "optimizer": "adamw", "clip_norm": 0.1}])
def test_how_a_run_is_cut_into_calls_changes_no_bit(make_engine, weights_of, stateful):
    engines = [make_engine(**stateful) for _ in range(3)]
    records = [run(engine, cuts) for engine, cuts in zip(engines, ([1] * 12, [12], [5, 1, 6]), strict=True)]
    losses = [np.concatenate([record.losses for record in cut]).tobytes() for cut in records]
    assert losses[0] == losses[1] == losses[2]
    expected = {weight.path: weight.numpy() for weight in engines[0].model.weights}
    for engine in engines[1:]:
        for weight in engine.model.weights:
            assert weight.numpy().tobytes() == expected[weight.path].tobytes(), weight.path
    assert records[0][-1].logits.tobytes() == records[1][-1].logits.tobytes()


def test_records_are_of_the_batch_before_its_step_changed_the_weights(make_engine, dataset):
    engine = make_engine(l2=0.0)
    rows = np.arange(20, dtype=np.int32).reshape(2, 10)
    before = engine.logits(rows[0].astype(np.int64))
    first = engine.train(rows[:1], np.array([0.01], np.float32), 0)
    assert first.logits == pytest.approx(before, abs=1e-4)
    assert first.accuracies[0] == np.float32((before.argmax(axis=1) == dataset.labels[:10]).mean())
    after = engine.logits(rows[1].astype(np.int64))
    second = engine.train(rows[1:], np.array([0.01], np.float32), 1)
    assert second.logits == pytest.approx(after, abs=1e-4)
    assert second.logits.dtype == first.losses.dtype == np.float32


def test_each_step_has_its_own_learning_rate(make_engine, weights_of):
    engine = make_engine()
    before = weights_of(engine.model)
    engine.train(batch_positions(0, np.arange(2), 100, 10), np.zeros(2, np.float32), 0)
    assert all((value == before[name]).all() for name, value in weights_of(engine.model).items())
    engine.train(batch_positions(0, np.arange(2), 100, 10), np.array([0, 0.01], np.float32), 0)
    assert all((value != before[name]).any() for name, value in weights_of(engine.model).items())


def test_the_steps_are_traced_once_whatever_the_length_of_a_call(make_engine):
    engine = make_engine()
    run(engine, [1, 2, 4, 5])
    engine.graph()
    assert engine._compiled_steps.experimental_get_tracing_count() == 1


def test_dropout_depends_on_seed_and_step_alone(make_engine):
    def loss(step, seed=0):
        """Of one batch at a step, with a rate of zero, so that nothing else changes."""
        engine = make_engine(dropout=0.5, seed=seed) if seed else engine_of_seed_0
        return engine.train(np.arange(10, dtype=np.int32)[np.newaxis], np.zeros(1, np.float32), step).losses[0]

    engine_of_seed_0 = make_engine(dropout=0.5)
    losses = [loss(step) for step in (0, 1, 2, 1_000_000, 2**40)]
    assert len(set(losses)) == 5
    assert [loss(step) for step in (2**40, 1, 0)] == [losses[4], losses[1], losses[0]]


def test_dropout_layers_of_one_network_drop_other_units(make_engine):
    engine = make_engine(dropout=0.5, layers=2)
    engine.train(np.arange(10, dtype=np.int32)[np.newaxis], np.zeros(1, np.float32), 3)
    states = [state.numpy().tolist() for state, _ in engine._dropout_seeds]
    assert len(states) == 2
    assert states[0] != states[1]


def test_logits_are_those_of_inference_and_change_nothing(make_engine):
    engine = make_engine(dropout=0.5, batch_norm=True)
    run(engine, [12])
    before = [weight.numpy().tobytes() for weight in engine.model.weights]
    logits = engine.logits(np.arange(40))
    assert logits.tobytes() == engine.logits(np.arange(40)).tobytes()
    assert engine.logits(np.arange(39, -1, -1))[::-1] == pytest.approx(logits, abs=1e-5)
    assert [weight.numpy().tobytes() for weight in engine.model.weights] == before


def test_batch_statistics_are_learnt_from_the_batches(make_engine):
    engine = make_engine(batch_norm=True)
    run(engine, [12])
    norm = engine.model.get_layer("batch_norm_1")
    assert (norm.moving_mean.numpy() != 0).any()
    assert (norm.moving_variance.numpy() != 1).all()


def test_images_and_labels_are_those_of_the_data_set(make_engine, dataset):
    engine = make_engine()
    chosen = np.array([3, 149, 0])
    assert np.array_equal(engine.example_images(chosen), dataset.images[chosen])
    assert np.array_equal(engine.labels(chosen), dataset.labels[chosen])
