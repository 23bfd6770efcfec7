"""The settings of each model, a section of `model` in the configuration: adding a model adds one here.

A section's fields are arguments of the model's constructor, but for those that say how it is trained.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from recsys_spark.config_base import Dropout, NotNegativeNumber, Positive, PositiveNumber, Section, Share

Kind = Literal["pairs", "rated_pairs", "ratings", "sequences", "impressions"]
PAIRS: Final[Kind] = "pairs"
RATED_PAIRS: Final[Kind] = "rated_pairs"
RATINGS: Final[Kind] = "ratings"
SEQUENCES: Final[Kind] = "sequences"
IMPRESSIONS: Final[Kind] = "impressions"
# by a model's objective or loss; the others take pairs
_KIND_OF: Final[dict[str, Kind]] = {"explicit": RATINGS, "mse": RATINGS, "clicks": IMPRESSIONS}


class ModelSection(Section):
    """The settings of one model. `features_of`: what of it takes declared features, of `user`, `item` or `context`."""

    features_of: ClassVar[tuple[str, ...]] = ("user", "item")

    @property
    def examples(self) -> Kind:
        """The kind of example that the model trains on."""
        return PAIRS

    @property
    def sides(self) -> tuple[str, ...]:
        """`features_of`, without the context where there is none: of impressions that were not clicked."""
        return tuple(of for of in self.features_of if of != "context" or self.examples != IMPRESSIONS)

    def arguments(self) -> dict[str, Any]:
        """Arguments of the model's constructor."""
        return self.model_dump()


class OnSequences(ModelSection):
    """Of models that train on windows of users' sequences."""

    @property
    def examples(self) -> Kind:
        """The kind of example that the model trains on."""
        return SEQUENCES


class OnPairsOrRatings(ModelSection):
    """Of models that learn who takes what (`implicit`), what a user will rate it (`explicit`), or what is clicked (`clicks`)."""

    objective: Literal["implicit", "explicit", "clicks"]

    @property
    def examples(self) -> Kind:
        """The kind of example that the model trains on."""
        return _KIND_OF.get(self.objective, PAIRS)


class NeuMFModel(OnPairsOrRatings):
    features_of: ClassVar[tuple[str, ...]] = ("user", "item", "context")
    gmf_width: Positive
    mlp_width: Positive
    mlp_layers: Annotated[list[Positive], Field(min_length=1)]
    dropout: Dropout
    l2: NotNegativeNumber
    pretrain: bool
    pretrain_alpha: Share
    finetune_rate: PositiveNumber

    def arguments(self) -> dict[str, Any]:
        """Arguments of the model's constructor."""
        return self.model_dump(exclude={"pretrain", "pretrain_alpha", "finetune_rate"})


class MatrixFactorizationModel(ModelSection):
    features_of: ClassVar[tuple[str, ...]] = ()

    width: Positive
    loss_name: Literal["bce", "bpr", "mse", "clicks"]
    negative_weight: PositiveNumber
    l2: NotNegativeNumber
    stddev: PositiveNumber

    @property
    def examples(self) -> Kind:
        """The kind of example that the model trains on."""
        return _KIND_OF.get(self.loss_name, PAIRS)


class SequenceSection(OnSequences):
    """What `models.sequence.SequenceModel` takes."""

    features_of: ClassVar[tuple[str, ...]] = ("user", "item", "context")
    width: Positive
    loss_name: Literal["bce", "gbce", "sampled_softmax", "softmax", "bpr_max", "top1_max"]
    negatives: Positive
    shared: bool
    sampling: Literal["uniform", "popularity"]
    alpha: NotNegativeNumber
    bar_window: bool
    gbce_t: Share
    regularisation: NotNegativeNumber
    repeats: bool


class SASRecModel(SequenceSection):
    features_of: ClassVar[tuple[str, ...]] = ("item", "context")

    blocks: Positive
    heads: Positive
    expansion: Positive
    dropout: Dropout


class GRU4RecModel(SequenceSection):
    features_of: ClassVar[tuple[str, ...]] = ("item", "context")

    units: Positive
    layers: Positive
    dropout: Dropout


class SoftmaxDNNModel(SequenceSection):
    layers: list[Positive]
    dropout: Dropout


class EmbeddingMLPModel(OnPairsOrRatings):
    width: Positive
    layers: Annotated[list[Positive], Field(min_length=1)]
    embedding_dropout: Dropout
    dropout: Dropout
    low: float
    high: float
    l2: NotNegativeNumber


class TwoTowerModel(OnSequences):
    features_of: ClassVar[tuple[str, ...]] = ("user", "item", "context")
    width: Positive
    layers: list[Positive]
    temperature: PositiveNumber
    negatives: Positive
    positions: Positive
    id_dropout: Dropout
    history_dropout: Dropout


class DINModel(OnSequences):
    features_of: ClassVar[tuple[str, ...]] = ("item",)

    width: Positive
    attention_units: Positive
    layers: Annotated[list[Positive], Field(min_length=1)]
    dropout: Dropout
    negatives: Positive
    positions: Positive


class MultiTaskModel(ModelSection):
    width: Positive
    experts: Positive
    units: Positive
    tower: Positive
    sharing: Literal["mmoe", "shared_bottom"]
    task_weights: Annotated[list[NotNegativeNumber], Field(min_length=3, max_length=3)]
    uncertainty: bool
    value_power: NotNegativeNumber
    value_share: float
    rank_by: Literal["interaction", "conversion"]

    @property
    def examples(self) -> Kind:
        """The kind of example that the model trains on."""
        return RATED_PAIRS


class Model(Section):
    name: Literal[
        "neumf",
        "gmf",
        "mlp",
        "matrix_factorization",
        "embedding_mlp",
        "softmax_dnn",
        "two_tower",
        "din",
        "gru4rec",
        "sasrec",
        "multitask",
    ]
    neumf: NeuMFModel
    matrix_factorization: MatrixFactorizationModel
    sasrec: SASRecModel
    gru4rec: GRU4RecModel
    embedding_mlp: EmbeddingMLPModel
    softmax_dnn: SoftmaxDNNModel
    two_tower: TwoTowerModel
    din: DINModel
    multitask: MultiTaskModel

    @property
    def chosen(self) -> ModelSection:
        """The settings of the model that `name` names."""
        section: ModelSection = getattr(self, section_of(self.name))
        return section


def section_of(name: str) -> str:
    """The section with a model's settings: NeuMF's halves share its own."""
    return "neumf" if name in ("gmf", "mlp") else name
