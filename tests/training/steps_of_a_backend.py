"""A program: trains some steps on the backend that KERAS_BACKEND names, and writes down all that came of it.

Each line that it reads is a JSON list of a path and of settings; it answers with a line once the path is written. A
process computes on one backend, so that a test of two starts this twice.
"""

import json
import sys

import numpy as np

from eyebright import load_dataset, preset_settings
from eyebright.backend import keras
from eyebright.data.split import split_dataset
from eyebright.training.preparation import begin, build, build_engine, settle


def train_steps(path: str, options: dict) -> None:
    keras.utils.clear_session()  # so that layers are called as in a process of their own
    steps, loop = options.pop("steps"), options.pop("loop", None)
    asked, dataset = preset_settings(**options), load_dataset("digits")
    train = split_dataset(dataset, **asked.split).train
    settings, _ = settle(asked, dataset, train)
    model = build(settings, dataset)
    begin(model, settings, dataset, train, None, None)
    first = {f"first/{weight.path}": weight.numpy() for weight in model.weights}
    plan, engine = build_engine(model, settings, dataset, train, None)
    if loop is not None:
        engine._at_once = loop
    planned = plan.steps(np.arange(steps))
    pixels = engine.example_images(planned)
    records = engine.train(planned)
    variables = {name: variable.numpy() for name, variable in engine.variables.items()}
    with engine.final_weights():
        logits = engine.logits(train[:37])
    found = {"losses": records.losses, "accuracies": records.accuracies, "pixels": pixels, "logits": logits}
    np.savez(path, **first, **variables, **found)


if __name__ == "__main__":
    for line in sys.stdin:
        train_steps(*json.loads(line))
        print("written", flush=True)
