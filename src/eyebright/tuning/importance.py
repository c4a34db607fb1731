"""How much each setting mattered in a search."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from eyebright.tuning.space import SearchSpace
from eyebright.tuning.study import TrialRow

_LEAST_TRIALS = 10  # with fewer, any order could come of chance


def importances(rows: Sequence[TrialRow], space: SearchSpace) -> dict[str, float] | None:
    """The share of each setting in what makes trials good, which together are 1.

    All trials are judged by their first part, which all of them have: of those that went all the way there are few, and
    all of them good. Trial 0 takes no part where it lies outside the space. By PED-ANOVA (Watanabe et al., IJCAI 2023).

    Returns:
        Shares by name, largest first, or None where there are too few trials.
    """
    import optuna

    parts = [min(row.parts) for row in rows if row.parts]
    first = min(parts, default=0)
    everywhere = {name for name, one in space.searched.items() if not one.when}
    judged = [row for row in rows if first in row.parts and everywhere <= row.values.keys()]
    if len(judged) < _LEAST_TRIALS:
        return None
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=row.values,
                distributions={name: space.distribution(name) for name in row.values},
                value=row.parts[first]["validation_accuracy"],
            )
            for row in judged
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials that have a setting under a condition
        found = optuna.importance.get_param_importances(study)
    return dict(found) if sum(found.values()) > 0 else None
