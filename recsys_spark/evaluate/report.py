"""What a person reads at the end: the models beside popularity and chance, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from recsys_spark.evaluate.measures import ALL, COLD, FULL, RATINGS, SAMPLED, MetricRow
from recsys_spark.evaluate.subjects import POPULARITY, Subject
from recsys_spark.evaluate.users import NEW
from recsys_spark.interactions.split import TEST, TRAIN, VALIDATION

_TITLES = {
    SAMPLED: "targets among each user's candidates",
    FULL: "targets among the whole catalogue",
    RATINGS: "predicted values of the targets",
}
_COLD = {COLD: "targets that train has never seen", NEW: "users whom train has never seen"}
_USUAL_K = 10


def report(
    rows: Sequence[MetricRow], subjects: Sequence[Subject], ks: Sequence[int], table: str, with_cold: bool = False
) -> list[str]:
    """The lines of the screen: a table for each protocol and split, losses and cautions, and what next.

    Args:
        table: the metrics table, as SQL names it.
        with_cold: whether to show the users and items that train has never seen, each by themselves.
    """
    overall = _of_segment(rows, ALL)
    k = _USUAL_K if _USUAL_K in ks else max(ks)
    lines: list[str] = []
    measured = {(row.protocol, row.split) for row in rows}
    for protocol, split in product((SAMPLED, FULL, RATINGS), (VALIDATION, TEST)):
        if (protocol, split) in measured:
            lines += _table(overall, subjects, protocol, split, k)
    for segment, protocol in product(_COLD, (SAMPLED, FULL)) if with_cold else ():
        of_segment = _of_segment(rows, segment)
        if any(key[:2] == (protocol, TEST) for key in of_segment):
            lines += _table(of_segment, subjects, protocol, TEST, k, f"{_COLD[segment]}, ")
    for subject in subjects:
        if subject.path is not None:
            lines += _losses(overall, subject)
            lines += _cautions(overall, subject, k)
            if any(row.protocol == RATINGS for row in rows) and not _predicts(overall, subject):
                lines.append(f"{_label(subject)} ranks and predicts no values: it has no RMSE and MAE")
    return [
        *lines,
        f"every figure: SELECT * FROM {table}, see docs/metrics.md; next: jobs/recommend.py",
    ]


Overall = Mapping[tuple[str, str, str, str, int | None], MetricRow]


def _of_segment(rows: Sequence[MetricRow], segment: str) -> Overall:
    """The rows of a segment by protocol, split, model, metric and cut-off."""
    of = [row for row in rows if row.segment == segment]
    return {(row.protocol, row.split, row.model_version, row.metric, row.k): row for row in of}


def _table(
    overall: Overall, subjects: Sequence[Subject], protocol: str, split: str, k: int, whose: str = ""
) -> Iterator[str]:
    of_ranks = [("hr", k), ("ndcg", k), ("recall", k), ("auc", None)]
    columns = [("rmse", None), ("mae", None)] if protocol == RATINGS else of_ranks
    found = {
        _label(subject): [overall.get((protocol, split, subject.version, *column)) for column in columns]
        for subject in subjects
        if split in subject.parts
    }
    lines = {label: rows for label, rows in found.items() if any(rows)}
    n = max((row.n for rows in lines.values() for row in rows if row), default=0)
    yield f"{split}, {whose}{_TITLES[protocol]} ({n:,} users; 95% intervals):"
    width = max(map(len, lines))
    yield "  ".join([" " * (width + 1), *(f"{_heading(*column):<22}" for column in columns)]).rstrip()
    for label, rows in lines.items():
        yield "  ".join([f" {label:<{width}}", *(f"{_figure(row):<22}" for row in rows)]).rstrip()


def _losses(overall: Overall, subject: Subject) -> Iterator[str]:
    losses = {
        split: overall.get((SAMPLED, split, subject.version, "loss", None)) for split in (TRAIN, VALIDATION, TEST)
    }
    if any(losses.values()):
        figures = ", ".join(f"{split} {row.value:.4f}" for split, row in losses.items() if row)
        yield f"loss of {_label(subject)}: {figures}"
    accuracy, majority, threshold = (
        overall.get((SAMPLED, TEST, subject.version, metric, None))
        for metric in ("accuracy", "majority_accuracy", "threshold")
    )
    if accuracy and majority and threshold:
        chosen = f"at p >= {threshold.value:.3f}" if threshold.value < 1 else "as no threshold beats saying no"
        yield (
            f"accuracy of {_label(subject)} on test: {accuracy.value:.4f} {chosen} "
            f"(the majority's answer: {majority.value:.4f})"
        )


def _cautions(overall: Overall, subject: Subject, k: int) -> Iterator[str]:
    for protocol in (FULL, SAMPLED):
        unknown = overall.get((protocol, TEST, subject.version, "unknown_users", None))
        if unknown and unknown.value > 0:
            count = round(unknown.value * unknown.n)
            of = f"{count:,} of {unknown.n:,} test users"
            yield f"{_label(subject)} does not know {of}: they are ranked by popularity"
            break
    unranked = overall.get((FULL, TEST, subject.version, "unranked_targets", None))
    if unranked and unranked.value > 0:
        yield (
            f"{unranked.value:.1%} of the test targets cannot be in {_label(subject)}'s lists "
            "(seen before and excluded, or newer than the model): they count as misses"
        )
    own, popular = (overall.get((FULL, TEST, version, "ndcg", k)) for version in (subject.version, POPULARITY))
    if own and popular and own.value <= popular.value:
        yield f"{_label(subject)} is no better than popularity over the whole catalogue: train longer or tune"


def _predicts(overall: Overall, subject: Subject) -> bool:
    return any((RATINGS, split, subject.version, "rmse", None) in overall for split in subject.parts)


def _label(subject: Subject) -> str:
    return f"{subject.name} (refit)" if subject.fit == "refit" else subject.name


def _heading(metric: str, k: int | None) -> str:
    return {"hr": "HR", "ndcg": "NDCG", "auc": "AUC", "rmse": "RMSE", "mae": "MAE"}.get(metric, metric) + (
        "" if k is None else f"@{k}"
    )


def _figure(row: MetricRow | None) -> str:
    if row is None:
        return "-"
    interval = "" if row.low is None or row.high is None else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.value:.4f}{interval}"
