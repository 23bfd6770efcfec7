"""Tables of experiments: what was designed, who is in which variant, who saw it, and what came of it."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import BooleanType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DATE, DOUBLE, INT, LONG, RUN, STRING, TIME, Table, column

_EXPERIMENT = column(c.EXPERIMENT, STRING, "name of the experiment")
_TREATMENT = column(c.VARIANT, STRING, "the variant that is held against the control")

EXPERIMENTS: Final = Table(
    "experiments",
    "experiment",
    StructType(
        [
            _EXPERIMENT,
            column(c.LAYER, STRING, "experiments of one layer share no user"),
            column("slot_from", DOUBLE, "where its part of the layer begins, of 0 to 1"),
            column("slot_to", DOUBLE, "where it ends"),
            column("starts", DATE, "the first day (UTC) of exposures that count"),
            column("days", INT, "days that it takes, the outcomes of the last user among them"),
            column("users", LONG, "users that it takes, all variants together"),
            column(c.METRIC, STRING, "the primary metric"),
            column("baseline", DOUBLE, "its value without the treatment"),
            column("deviation", DOUBLE, "its standard deviation between users"),
            column("variance_cut", DOUBLE, "share of the variance that CUPED takes out; 0 where it was not measured"),
            column("minimum_effect", DOUBLE, "the least relative change that is found with the designed power"),
            column("settings", STRING, "section `experiment` of the configuration, as YAML"),
            AS_OF,
            RUN,
        ]
    ),
    key=(c.EXPERIMENT,),
)

ASSIGNMENTS: Final = Table(
    "assignments",
    "experiment",
    StructType(
        [
            _EXPERIMENT,
            column(c.LAYER, STRING, "its layer; in `lists` the variant says whose list the user gets"),
            column(c.USER_ID, STRING, "who"),
            column(c.VARIANT, STRING, "what the user gets"),
            column("assigned_on", DATE, "the date (UTC) of the run that let the user in"),
            RUN,
        ]
    ),
    key=(c.EXPERIMENT, c.USER_ID),
    partitioned_by=(c.EXPERIMENT,),
)

EXPOSURES: Final = Table(
    "exposures",
    "the shop",
    StructType(
        [
            _EXPERIMENT,
            column(c.USER_ID, STRING, "who"),
            column(c.VARIANT, STRING, "which variant the user was shown"),
            column(c.EXPOSED_AT, TIME, "when; a user may have many rows, the first counts"),
        ]
    ),
    key=(c.EXPERIMENT, c.USER_ID, c.EXPOSED_AT),
    partitioned_by=(c.EXPERIMENT,),
)

EXPERIMENT_RESULTS: Final = Table(
    "experiment_results",
    "experiment",
    StructType(
        [
            _EXPERIMENT,
            AS_OF,
            column(c.SEGMENT, STRING, "all, or a user attribute and its value: gender=F"),
            column("exploratory", BooleanType(), "looked at without having been planned: a hint, no proof"),
            column(c.METRIC, STRING, "name of the metric"),
            column("role", STRING, "primary, secondary or guardrail"),
            _TREATMENT,
            column("users_control", LONG, "users of the control"),
            column(c.USERS, LONG, "users of the variant"),
            column("control", DOUBLE, "the metric's value in the control, after CUPED"),
            column("treated", DOUBLE, "its value in the variant, likewise"),
            column("difference", DOUBLE, "treated - control"),
            column(c.LOW, DOUBLE, "lower end of the difference's interval"),
            column(c.HIGH, DOUBLE, "upper end"),
            column("lift", DOUBLE, "difference / control; null where the control is 0"),
            column("lift_low", DOUBLE, "lower end of the lift's interval"),
            column("lift_high", DOUBLE, "upper end"),
            column("p_value", DOUBLE, "of no difference, two-sided; null where nothing varies"),
            column("p_adjusted", DOUBLE, "corrected for several tests; null for guardrails and segments"),
            column("variance_cut", DOUBLE, "share of the variance that CUPED took out"),
            column(
                "status",
                STRING,
                "better, worse or open; held, harmed or unproven (guardrails); exploratory; untestable",
            ),
            column(c.REASON, STRING, "what the figures say, in words"),
            RUN,
        ]
    ),
    key=(c.EXPERIMENT, c.AS_OF_DATE, c.SEGMENT, c.METRIC, c.VARIANT),
    partitioned_by=(c.EXPERIMENT,),
)

EXPERIMENT_VERDICTS: Final = Table(
    "experiment_verdicts",
    "experiment",
    StructType(
        [
            _EXPERIMENT,
            AS_OF,
            _TREATMENT,
            column(c.VERDICT, STRING, "ship, stop, wait or invalid"),
            column(c.REASON, STRING, "why, in words"),
            column(c.USERS, LONG, "users of all variants whose outcomes are whole"),
            column("waiting", LONG, "users whose days are not over; they do not count yet"),
            column("mismatch_p", DOUBLE, "how likely the variants' numbers of users are, by chance"),
            column("in_several_variants", LONG, "users that were shown more than one variant; left out"),
            column(
                "early_outcomes", LONG, "outcomes since the start but before the user's exposure; they do not count"
            ),
            RUN,
        ]
    ),
    key=(c.EXPERIMENT, c.AS_OF_DATE, c.VARIANT),
    partitioned_by=(c.EXPERIMENT,),
)
