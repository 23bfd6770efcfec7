"""Parts on held-out events: scores as predictions, and where the model fails."""

from __future__ import annotations

from math import sqrt

from recsys_spark.evaluate.summary import NORMAL_95
from recsys_spark.explore.entries import OTHERS, Entries, Statistics
from recsys_spark.explore.wording import named
from recsys_spark.pages import Figure, Note, Part, Share, Table, bars, histogram, lines
from recsys_spark.pages.words import shown
from recsys_spark.report.predictions import ACCURACY, CALIBRATION, ROC, SCORES
from recsys_spark.report.segments import ABOVE, FOUND, OVERALL, SEGMENTS

_TITLES = {
    "history": "by length of the user's history",
    "popularity": "by popularity of the item",
    "category": "by category of the item",
}
_UNITS = {
    "history": "items that the user took in train",
    "popularity": "users that took the item in train",
    "category": "category",
}


def predictions(found: Entries, negatives: int) -> list[Part]:
    """Score histograms, calibration, ROC and accuracy."""
    if not found.series(SCORES):
        why = "No held-out user whom the model knows has both held-out items and sampled candidates."
        return [Part("Scores", [Note("Not in this data", why)])]
    return [_scores(found), _calibration(found, negatives), _roc(found), _accuracy(found)]


def segments(found: Entries, k: int) -> list[Part]:
    """The share of held-out items that are found, in each group of users and of items."""
    overall = found.rows(SEGMENTS, OVERALL).get("all")
    if overall is None:
        return [Part("Where the model fails", [Note("Not in this data", "There is no held-out item to be found.")])]
    lead = (
        f"Of {overall['n']:,.0f} held-out items of the users looked at, {shown(Share(overall[FOUND]))} are among the first {k} "
        f"of the whole catalogue. Users whom the model does not know are shown what is popular, and count."
    )
    series = [name for name in found.series(SEGMENTS) if name != OVERALL]
    absent = [name for name in _TITLES if name not in series]
    notes = [Note("Not in this data", f"Nothing is known to group by: {', '.join(absent)}.")] if absent else []
    of_series = [_segment(name, found.rows(SEGMENTS, name), k) for name in series]
    return [Part("Where the model fails", [lead, *notes]), *of_series]


def _scores(found: Entries) -> Part:
    title, (part,) = "Scores of positives and negatives", found.series(SCORES)
    rows = found.rows(SCORES, part)
    edges = [float(label) for label in rows]
    edges.append(edges[-1] + next(iter(rows.values()))["width"])
    totals = {name: sum(row[name] for row in rows.values()) for name in ("positives", "negatives")}
    heights = {name: [100 * row[name] / total for row in rows.values()] for name, total in totals.items()}
    chart = histogram(title, edges, heights, "score", "percent of each kind")
    table = Table(
        ["score from", "positives", "negatives"],
        [
            [edge, round(row["positives"]), round(row["negatives"])]
            for edge, row in zip(edges, rows.values(), strict=False)
        ],
    )
    said = f"{totals['positives']:,.0f} held-out items and {totals['negatives']:,.0f} sampled candidates on {part}"
    caption = "Users whom the model knows; the outermost columns have what lies beyond them."
    return Part(title, [f"{said}.", Figure(chart, f"Histograms of scores: {said}.", table, caption)])


def _calibration(found: Entries, negatives: int) -> Part:
    title = "Calibration"
    if not found.series(CALIBRATION):
        why = "The sigmoid of this model's scores is no probability: scores order one user's items and say no more."
        return Part(title, [Note("Not of this model", why)])
    (part,) = found.series(CALIBRATION)
    rows = list(found.rows(CALIBRATION, part).values())
    places = [row["predicted"] for row in rows]
    heights: dict[str, list[float | None]] = {"observed": [row["observed"] for row in rows], "calibrated": list(places)}
    chart = lines(title, places, heights, "predicted probability", "share of positives")
    table = Table(
        ["predicted", "observed", "pairs"], [[row["predicted"], row["observed"], round(row["pairs"])] for row in rows]
    )
    said = f"predicted {places[0]:.2f} to {places[-1]:.2f}, observed {rows[0]['observed']:.2f} to {rows[-1]['observed']:.2f}"
    caption = f"Pairs of {part} in ten classes of probability; negatives weigh as in training, {negatives} a positive."
    return Part(title, [Figure(chart, f"Lines: {said}.", table, caption)])


def _roc(found: Entries) -> Part:
    title, (part, _) = "ROC", found.series(ROC)
    points = list(found.rows(ROC, part).values())
    area = found.figure(ROC, part, "area", "area")
    false = [row["false"] for row in points]
    heights: dict[str, list[float | None]] = {"model": [row["true"] for row in points], "chance": list(false)}
    chart = lines(title, false, heights, "share of negatives above the threshold", "share of positives above")
    table = Table(["false positive rate", "true positive rate"], [[row["false"], row["true"]] for row in points])
    said = f"The area under the curve is {area:.4f} on {part}, over all pairs together"
    why = "Table metrics has AUC user by user, which is what lists are made of: a model may be good at that and not at this."
    return Part(title, [f"{said}. {why}", Figure(chart, f"{said}.", table)])


def _accuracy(found: Entries) -> Part:
    title, rows = "Accuracy", found.rows(ACCURACY)
    threshold = found.figure(ACCURACY, "validation", "threshold", "threshold")
    if threshold is None:
        why = "There is no threshold: the scores are no probabilities, or the split has no validation part to choose it on."
        return Part(title, [Note("Not of this model", why)])
    table = Table(
        ["part", "accuracy", "majority", "pairs"],
        [[part, Share(row[ACCURACY]), Share(row["majority"]), round(row["pairs"])] for part, row in rows.items()],
    )
    said = (
        f"A pair is called positive from a probability of {threshold:.4g} on, which is best on validation. Always answering with "
        "the majority is right as often as the column beside says: with many sampled candidates a positive, that is hard to "
        "beat, and says little of lists."
    )
    return Part(title, [said, table])


def _segment(series: str, rows: dict[str, Statistics], k: int) -> Part:
    title = f"Found {_TITLES.get(series, 'by ' + series.removeprefix('user ') + ' of the user')}"
    labels = [named(label, row) for label, row in rows.items()]
    values = [100 * row[FOUND] for row in rows.values()]
    said = [f"{shown(Share(row[FOUND]))} of {row['n']:,.0f}" for row in rows.values()]
    chart = bars(title, labels, values, f"percent of held-out items among the first {k}", said)
    table = Table(
        [_UNITS.get(series, series), "held-out items", "found", "+/-", "ranked above"],
        [
            [label, round(row["n"]), Share(row[FOUND]), Share(_error(row)), Share(row[ABOVE]) if ABOVE in row else None]
            for label, row in zip(labels, rows.values(), strict=True)
        ],
        "+/-: half of a 95% interval, as if held-out items were drawn one by one; ranked above: the mean share of the catalogue "
        "that stands above a held-out item",
    )
    worst = min((label for label in rows if label != OTHERS), key=lambda label: rows[label][FOUND], default="")
    alt = f"Bars of {len(labels)} groups; least is found of {worst}. All figures stand in the table below it."
    return Part(title, [Figure(chart, alt, table)])


def _error(row: Statistics) -> float:
    return NORMAL_95 * sqrt(max(0.0, row[FOUND] * (1 - row[FOUND])) / row["n"])
