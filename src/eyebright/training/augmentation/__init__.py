"""Augmentation: training images changed at random, in ways that leave their labels true.

The policy (`eyebright.augmentation`) says what is done, `parameters` draws its random numbers on the host from the
run's seed and the step, and `apply` changes the pixels of one batch inside the compiled step. The floors below them:
`sampling`, `matrices` and `trivial` (NumPy, on the host), `geometry`, `colour` and `mixing` (tensors, in the step).
"""
