"""What each stage does, as a number that its time grows with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recsys_spark.model_settings import IMPRESSIONS, PAIRS, RATED_PAIRS, RATINGS, SEQUENCES, Kind
from recsys_spark.retriever import kinds_of as made_kinds
from recsys_spark.settings import Config


@dataclass(frozen=True)
class Counts:
    """How large the data is: rows of `events`, `users`, `items`, and of one date of `interactions`.

    `row_bytes`: what a row takes on disk, by table, where the root has the table already.
    """

    events: int
    users: int
    items: int
    pairs: int
    row_bytes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """So many of something."""

    number: int
    of: str


def work_of(counts: Counts, config: Config) -> dict[str, Work]:
    """What each stage of a night counts, in the order in which they run; at most: the fits before production see less.

    - ingest, index: events
    - features: events x fits
    - examples: samples of all draws and fits
    - train: samples of an epoch x epochs x fits, three times for NeuMF with `pretrain`
    - evaluate: items scored for users: (users x parts x (1 + `examples.eval_negatives`) of the sampled protocol, and
      `evaluate.full_users` x items of the full one) x the fits that are measured; baselines are not counted
    - recommend: users x items, or, with `recommend.candidates.sources`, users x the sum of their quotas: finding them is
      not counted
    """
    fits = len(config.examples.fits)
    epochs = fits * config.training.epochs * (3 if config.model.name == "neumf" and config.model.neumf.pretrain else 1)
    return {
        "ingest": Work(counts.events, "events"),
        "index": Work(counts.events, "events"),
        "features": Work(counts.events * fits, "events x fits"),
        "examples": Work(fits * sum(made_samples(kind, counts, config) for kind in kinds_of(config)), "samples"),
        "train": Work(epochs * epoch_samples(config.model.chosen.examples, counts, config), "samples"),
        "evaluate": Work(_measured(counts, config), "scores"),
        "recommend": Work(counts.users * min(counts.items, _scored(config) or counts.items), "scores"),
    }


def kinds_of(config: Config) -> set[Kind]:
    """The kinds of example that are made; pairs with and without ratings lie in one table, and are one here."""
    return {PAIRS if kind in (RATED_PAIRS, RATINGS) else kind for kind in made_kinds(config)}


def positives(counts: Counts, config: Config) -> int:
    """Positives of a fit, at most: pairs, or events where they count as often as they occur."""
    return counts.events if config.examples.positives == "events" else counts.pairs


def epoch_samples(kind: Kind, counts: Counts, config: Config) -> int:
    """Samples of one epoch: positives x (1 + negatives), positives with a rating, places of windows, or impressions."""
    if kind == SEQUENCES:
        return counts.users * config.examples.windows * config.examples.window
    if kind == IMPRESSIONS:
        return counts.events
    return positives(counts, config) * (1 if kind == RATINGS else 1 + config.examples.negatives)


def made_samples(kind: Kind, counts: Counts, config: Config) -> int:
    """Samples that `jobs/examples.py` writes for one fit: those of an epoch, in as many draws of negatives."""
    return epoch_samples(kind, counts, config) * (config.examples.draws if kind == PAIRS else 1)


def _scored(config: Config) -> int:
    return sum(config.recommend.candidates.sources.values())


def _measured(counts: Counts, config: Config) -> int:
    of_fits = len(set(config.examples.fits) & {"evaluate", "refit"})
    asked, pairs = config.evaluate, 0
    if "sampled" in asked.protocols:
        pairs += counts.users * len(asked.splits) * (1 + config.examples.eval_negatives)
    if "full" in asked.protocols:
        pairs += min(counts.users, asked.full_users or counts.users) * counts.items
    return of_fits * pairs
