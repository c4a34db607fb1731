"""`eyebright predict`: pictures in, named probabilities out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from eyebright.cli.options import Ray
from eyebright.cli.picture_paths import expanded
from eyebright.cli.prediction_on_ray import check_ray_flags, predict_on_ray
from eyebright.cli.prediction_output import (
    Counts,
    Tally,
    print_predictions_csv,
    print_predictions_json,
    print_predictions_table,
)

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.metrics.conformal import ConformalMethod, ConformalSets

_MANY = 1000  # pictures, that take more than a moment


def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's directory, a saved classifier's, or an artefact.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Picture files, globs or folders, of any size and mode; - reads paths from standard input, one a line."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name for each picture.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: an array, one object a picture.")] = False,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print CSV: image, rank, label, probability, error, and what was asked for besides."
        ),
    ] = False,
    min_confidence: Annotated[
        float | None, typer.Option(help="Abstain below this probability.", show_default="never abstain")
    ] = None,
    target_error: Annotated[
        float | None,
        typer.Option(
            help="Abstain so that at most this share of the answers is wrong; validation images find the threshold.",
            show_default="never abstain",
        ),
    ] = None,
    conformal: Annotated[
        float | None,
        typer.Option(
            metavar="ALPHA",
            help="Give sets of classes, too, that miss a picture's own class with this probability; 0.1, say.",
            show_default="no sets",
        ),
    ] = None,
    conformal_method: Annotated[
        str | None,
        typer.Option(
            metavar="lac|aps",
            help="lac: the smallest sets; aps: sets that tell hard pictures from easy ones better.",
            show_default="lac",
        ),
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Keep to --conformal within each class.")] = False,
    unlike_share: Annotated[
        float | None,
        typer.Option(
            help="Say which pictures are unlike anything that it was trained on; of pictures like the validation "
            "images, at most this share is called so.",
            show_default="0.01",
        ),
    ] = None,
    skip_golden: Annotated[
        bool, typer.Option("--skip-golden", help="Do not compute an artefact's golden images again: faster.")
    ] = False,
    ray: Ray = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="With --ray: directory for the answers, JSON lines in parts. The same command again goes on.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Name what pictures show, with probabilities.

    Answers come in the order in which the pictures are given, of JSON and CSV each as soon as it is there. A picture
    that cannot be read does not stop the others; the exit code is then 3, or 2 if none could be read.

    What --target-error and --conformal promise is for pictures like the run's validation images, and the former is
    shown on these with 95% confidence. What validation images let expect is said on standard error.

    A picture that is unlike anything that the classifier was trained on is marked, where the classifier can tell.

    With --ray a cluster answers very many pictures, and -o says where their answers go.
    """
    check_answer_flags(min_confidence, target_error, conformal, conformal_method, per_class)
    if unlike_share is not None:
        from eyebright.known_images import check_share

        check_share(unlike_share)
    from eyebright.errors import SettingsError

    if json and csv:
        raise SettingsError("--json and --csv exclude each other: give one of the two.")
    check_ray_flags(ray, output, csv=csv)
    from eyebright.classifier import Classifier
    from eyebright.uncertainty import conformal_sets, unlike_distance

    paths = expanded(images)
    classifier = Classifier.load(run, skip_golden=skip_golden)
    if target_error is not None or min_confidence is not None:
        min_confidence = _threshold(classifier, min_confidence, target_error)
    sets = None
    if conformal is not None:
        method = cast("ConformalMethod", conformal_method or "lac")
        sets = conformal_sets(classifier, conformal, method, per_class=per_class)
        _describe_sets(classifier, sets)
    distance, cannot_tell = unlike_distance(classifier, unlike_share)
    if ray is not None and output is not None:
        from eyebright.cluster.prediction import Question

        question = Question(run, top, min_confidence, sets, distance, skip_golden)
        tally: Counts = predict_on_ray(classifier, question, paths, output, ray, json=json)
    else:
        tally = _print(classifier, paths, top, min_confidence, sets, distance, json=json, csv=csv)
    _say_what_is_unlike(tally, unlike_share, cannot_tell)
    if tally.failed:
        raise typer.Exit(3 if tally.answered else 2)


def _print(
    classifier: Classifier,
    paths: list[str],
    top: int,
    min_confidence: float | None,
    sets: ConformalSets | None,
    distance: float | None,
    *,
    json: bool,
    csv: bool,
) -> Tally:
    """Print what the classifier says of each picture, and on standard error which could not be read."""
    from eyebright.data.progress import shown
    from eyebright.prediction import predict_files

    found = predict_files(classifier, paths, top, min_confidence=min_confidence, sets=sets, unlike_distance=distance)
    given = {"abstained": min_confidence, "set": sets, "unlike_training": distance}
    asked = [name for name, value in given.items() if value is not None]
    tally = Tally()
    # A bar would stand amid the answers where these are printed on a terminal one by one.
    bar = len(paths) > _MANY and not ((json or csv) and sys.stdout.isatty())
    predictions = shown(tally.of(found), "Pictures", len(paths), lambda _: 1, progress=bar)
    if json:
        print_predictions_json(predictions)
    elif csv:
        print_predictions_csv(predictions, asked)
    else:
        print_predictions_table(predictions, asked)
    if not json:
        for error in tally.errors:
            print(error, file=sys.stderr)
    return tally


def check_answer_flags(
    min_confidence: float | None,
    target_error: float | None,
    conformal: float | None,
    conformal_method: str | None,
    per_class: bool,
) -> None:
    """Refuse what cannot be, before anything large is imported."""
    from eyebright.errors import SettingsError

    if min_confidence is not None and target_error is not None:
        raise SettingsError("--min-confidence and --target-error exclude each other: give one of the two.")
    if conformal is None and (conformal_method is not None or per_class):
        flag = "--per-class" if conformal_method is None else "--conformal-method"
        raise SettingsError(f"{flag} says how sets of classes are made: give --conformal ALPHA as well.")
    if (min_confidence, target_error, conformal) == (None, None, None):
        return
    from eyebright.metrics.conformal import check_alpha, check_method
    from eyebright.metrics.selective import check_min_confidence, check_target

    if min_confidence is not None:
        check_min_confidence(min_confidence)
    if target_error is not None:
        check_target(target_error)
    if conformal is not None:
        check_alpha(conformal)
        check_method(conformal_method or "lac")


def _threshold(classifier: Classifier, min_confidence: float | None, target_error: float | None) -> float:
    """The probability below which to abstain; what is to be expected of it is said on standard error."""
    from eyebright.uncertainty import abstention_threshold

    if min_confidence is not None and classifier.held_out is None:
        print(
            f"Abstains below {min_confidence:g}. How often, and how often answers are wrong, is not known: no answers "
            "to validation images are saved with this classifier. Make them with: eyebright calibrate RUN",
            file=sys.stderr,
        )
        return min_confidence
    found = abstention_threshold(classifier, min_confidence=min_confidence, target_error=target_error)
    # A threshold that was found among many keeps to its target, and not to the bound that it would have if given.
    bound = found.risk_bound if target_error is None else target_error
    print(
        f"Abstains below {found.threshold:.4f}. Of {found.images:,} validation images {found.coverage:.1%} are "
        f"answered, {found.errors:,} of these {found.accepted:,} wrongly; with 95% confidence at most "
        f"{bound:.2%} of such answers are wrong.",
        file=sys.stderr,
    )
    return found.threshold


def _describe_sets(classifier: Classifier, sets: ConformalSets) -> None:
    """Say on standard error what is to be expected of sets of classes."""
    from eyebright.uncertainty import held_out_sets

    sizes = held_out_sets(classifier, sets).sum(axis=1)
    within = "of each class's pictures" if sets.per_class else "of pictures"
    print(
        f"Sets of classes ({sets.method}): {1 - sets.alpha:g} {within} have their own class in their set. Of "
        f"{sets.images:,} validation images the sets have {sizes.mean():.2f} classes on average, "
        f"{(sizes == 0).mean():.1%} have none and {(sizes == 1).mean():.1%} have one.",
        file=sys.stderr,
    )


def _say_what_is_unlike(tally: Counts, share: float | None, cannot_tell: str) -> None:
    """Say on standard error how many pictures are unlike the training images, if any is, or why nobody can tell."""
    from eyebright.known_images import DEFAULT_SHARE

    if not tally.answered:
        return
    if cannot_tell:
        print(cannot_tell, file=sys.stderr)
        return
    if tally.unlike:
        verb, pictures = "is" if tally.unlike == 1 else "are", "picture" if tally.answered == 1 else "pictures"
        expected = 1 / (DEFAULT_SHARE if share is None else share)
        print(
            f"{tally.unlike:,} of {tally.answered:,} {pictures} {verb} unlike anything that it was trained on; of "
            f"pictures like its training images it says so of 1 in {expected:.3g}.",
            file=sys.stderr,
        )
