"""Where declared features of the context come from: an event's own time and keys, and what its user did before it.

They are as of the event's time and never later; at scoring, as of the end of the date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events.drafts import text_or_none
from recsys_spark.feature_settings import CategoricalFeature, DenseFeature
from recsys_spark.features.sources import in_days, value_of
from recsys_spark.interactions.split import TEST, VALIDATION, end_of, in_parts
from recsys_spark.settings import Features, Fit
from recsys_spark.transform import Transformer

CONTEXT: Final = "context"
_KEY: Final = f"{c.CONTEXT}."
FREQUENCY: Final = "frequency"
_OF_TIME: Final[Mapping[str, Callable[[str], Column]]] = {
    "hour": F.hour,
    "weekday": lambda time: F.weekday(time) + 1,
    "month": F.month,
}
_OF_USER: Final = (c.RECENCY_DAYS, FREQUENCY)


def of_context(features: Features) -> list[CategoricalFeature | DenseFeature]:
    """The declared features of the context, in their order.

    Raises:
        UserError: a source that no context has.
    """
    own = [
        feature
        for feature in features.declared
        if feature.of == CONTEXT and isinstance(feature, CategoricalFeature | DenseFeature)
    ]
    for feature in own:
        if feature.source not in (*_OF_TIME, *_OF_USER) and not feature.source.startswith(_KEY):
            raise UserError(
                f"feature `{feature.name}`: no context has a source `{feature.source}`; `source` is one of "
                f"{', '.join((*_OF_TIME, *_OF_USER))}, or {_KEY}KEY with a key of the events' context"
            )
    return own


def carried(features: Features) -> dict[str, Column]:
    """What the labelled events must carry: the keys of the events' context that features are declared of, by source."""
    sources = {feature.source for feature in of_context(features) if feature.source.startswith(_KEY)}
    return {source.replace(".", "_"): F.col(c.CONTEXT)[source.removeprefix(_KEY)] for source in sorted(sources)}


def values_of_events(declared: Sequence[CategoricalFeature | DenseFeature], fit: Fit) -> Transformer:
    """Labelled events, with what is `carried` -> the same with a column of values a feature, as a fit may know them.

    Recency and frequency are of the user's positive events of the fit's parts at an earlier second: those of the same basket do
    not count, nor do held-out ones, which a split by chance leaves between those of train. What is known of a user at test is
    what its history is then: validation counts too. O(n log h), no shuffle where the events lie by user.
    """
    second = F.unix_seconds(c.EVENT_TIME) * 1_000_000  # in microseconds
    before = Window.partitionBy(c.USER_IDX).orderBy(second).rangeBetween(Window.unboundedPreceding, -1)
    at_test = in_parts(fit) | (F.col(c.PART) == VALIDATION)

    def earlier(aggregate: Callable[[Column], Column]) -> Column:
        of_fit, of_test = (aggregate(F.when(parts, second)).over(before) for parts in (in_parts(fit), at_test))
        return F.when(F.col(c.PART) == TEST, of_test).otherwise(of_fit)

    of_user = {c.RECENCY_DAYS: in_days(second - earlier(F.max)), FREQUENCY: earlier(F.count)}

    def source(name: str) -> Column:
        if name in _OF_TIME:
            return _OF_TIME[name](c.EVENT_TIME)
        return of_user[name] if name in of_user else text_or_none(F.col(name.replace(".", "_")))

    return lambda events: events.withColumns({value_of(one.name): source(one.source) for one in declared})


def values_of_users(
    declared: Sequence[CategoricalFeature | DenseFeature], given: Mapping[str, Any], as_of: date
) -> Transformer:
    """`(user_idx, event_time, frequency, ...)`, the time of the latest event -> the same with a column of values a feature.

    The moment is the end of the date; hour, store and what else is not of the user is as given, by source, or missing.

    Raises:
        UserError: something is given that no feature is declared of.
    """
    sources = {one.source for one in declared}
    odd = sorted(set(given) - sources)
    if odd:
        raise UserError(
            f"recommend.context gives `{odd[0]}`, but no feature of the context has that source; there is "
            f"{', '.join(sorted(sources)) or 'none: declare one in features.declared, see docs/features.md'}"
        )
    of_user = {
        c.RECENCY_DAYS: in_days(F.unix_micros(end_of(as_of)) - F.unix_micros(c.EVENT_TIME)),
        FREQUENCY: F.col(FREQUENCY),
    }

    def value(name: str) -> Column:
        return of_user.get(name, F.lit(None if name not in given else str(given[name])).cast("string"))

    return lambda users: users.withColumns({value_of(one.name): value(one.source) for one in declared})
