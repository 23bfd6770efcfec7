"""What a rank is told, and what it tells back: plain data, pickled between driver and executors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recsys_spark.features.spec import FeatureSpec, context_length
from recsys_spark.feed.layouts import Layout, layout_of
from recsys_spark.files import LiveFile
from recsys_spark.model_settings import Kind
from recsys_spark.settings import Training


@dataclass(frozen=True)
class ModelSpec:
    """Which model, of which sizes: enough to build it anywhere."""

    name: str
    settings: Mapping[str, Any]
    n_users: int
    n_items: int


@dataclass(frozen=True)
class Job:
    """One fit: a model, its feed, and how long to train."""

    title: str
    model: ModelSpec
    training: Training
    kind: Kind
    negatives: int  # beside each positive, in training and for the validation loss
    window: int  # items that a model reads, of kind sequences
    draws: tuple[tuple[LiveFile, ...], ...]  # the files of each draw; the epochs cycle through them
    validation: tuple[LiveFile, ...]  # empty: no validation, all epochs are trained
    epochs: int
    seed: int
    checkpoint: str  # location of its folder
    identity: str  # a checkpoint of another identity (other data, other settings) is not resumed
    halves: tuple[str, ...] = ()  # folders of pretrained halves to start from
    warm: str = ""  # folder of an earlier artifact to go on from
    alpha: float = 0.5  # weight of the first of them
    learning_rate: float = 0.001
    histories: tuple[LiveFile, ...] = ()  # what the held-out users did before, for a model that reads it
    seen: tuple[LiveFile, ...] = ()  # the pairs of user and item, where what was taken before is no candidate
    item_features: tuple[LiveFile, ...] = ()  # of the fit: how often each item was taken
    user_encoded: tuple[LiveFile, ...] = ()  # the declared features of users and of items, where the model has some
    item_encoded: tuple[LiveFile, ...] = ()
    contexts: tuple[LiveFile, ...] = ()  # of the held-out events, for a model with features of the context
    exclude_seen: bool = True  # whether what a user had before is no candidate, in a full validation
    baskets: bool = False  # of kind sequences: whether the examples say what each item is to be predicted from
    floors: tuple[float, ...] = ()  # by epoch: where the best validation so far is lower, the training stops

    @property
    def layout(self) -> Layout:
        """How the examples travel."""
        model = self.model
        return layout_of(
            self.kind, self.negatives, self.window, self.context, model.n_users, model.n_items, self.baskets
        )

    @property
    def context(self) -> int:
        """Integers of the context of an event that the model takes."""
        return context_length(FeatureSpec(**spec) for spec in self.model.settings.get("context_side", ()))


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. `samples` counts user-item pairs, positive or negative, over all ranks."""

    number: int
    loss: float
    seconds: float
    samples: int
    validation: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a fit came to; its best weights lie in `weights` (a folder). `error`: why it stopped, if it had to."""

    history: tuple[Epoch, ...]
    best_epoch: int
    weights: str
    summary: str
    parameters: int
    error: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)  # what a scorer must know, see `setup.scoring_of`


def quality(epoch: Epoch) -> float | None:
    """What epochs are compared by, higher is better: NDCG@10 on validation, or minus the RMSE of ratings; None without."""
    if "rmse" in epoch.validation:
        return -epoch.validation["rmse"]
    return epoch.validation.get("ndcg@10")


def curve_of(history: Sequence[Epoch]) -> list[float]:
    """The `quality` by epoch; empty where nothing was validated."""
    return [score for epoch in history if (score := quality(epoch)) is not None]


def is_below(curve: Sequence[float], floors: Sequence[float]) -> bool:
    """Whether the best figure so far is lower than the floor of the latest epoch; later epochs have none."""
    return 0 < len(curve) <= len(floors) and max(curve) < floors[len(curve) - 1]
