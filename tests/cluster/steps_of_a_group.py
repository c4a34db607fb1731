"""A program: some steps of a training as one process of several that train together, and all that came of it.

    python steps_of_a_group.py PATH GIVEN COORDINATOR PROCESSES PROCESS

The first process writes PATH.npz; the others follow. With "damaged" in GIVEN the others learn from black images, which
shows in the first one's weights if what they compute counts.
"""

import json
import os
import sys
from dataclasses import replace

import numpy as np

from eyebright import load_dataset, preset_settings
from eyebright.data.split import split_dataset
from eyebright.training import group
from eyebright.training.preparation import begin, build, build_engine, settle


def main(path: str, given: str, coordinator: str, processes: int, process: int) -> None:
    options = json.loads(given)
    steps, damaged = options.pop("steps"), options.pop("damaged", False)
    group.join(coordinator, processes, process)
    leads = group.leads()
    asked, dataset = preset_settings(**options), load_dataset("digits")
    if damaged and not leads:
        dataset = replace(dataset, images=np.zeros_like(dataset.images))
    split = split_dataset(dataset, **asked.split)
    settings, _ = settle(asked, dataset, split.train)
    model = build(settings, dataset)
    if not leads:
        group.hear()
        _, engine = build_engine(model, settings, dataset, split.train, None)
        engine.follow()
    begin(model, settings, dataset, split.train, None, None)
    plan, engine = build_engine(model, settings, dataset, split.train, None)
    records = [engine.train(plan.steps(np.arange(number, number + 1))) for number in range(steps)]
    logits = engine.logits(split.validation)
    variables = {name: variable.numpy() for name, variable in engine.variables.items()}
    np.savez(path, **variables, logits=logits, losses=np.concatenate([one.losses for one in records]))
    os._exit(0)  # the others wait for what comes next, and are ended


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
