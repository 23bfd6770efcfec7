"""Declared features as the configuration has them: one class a kind, see docs/features.md."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from recsys_spark.config_base import Positive, Section

Of = Literal["user", "item"]


class DeclaredFeature(Section):
    """A feature that the configuration declares; one class a kind.

    Entries of a list cannot stand in `conf/default.yaml`, so the defaults of their optional keys stand here.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    of: Of | Literal["context"]


class VocabularyFeature(DeclaredFeature):
    source: str
    max_size: Positive = 10_000
    min_count: Positive = 1


class CategoricalFeature(VocabularyFeature):
    kind: Literal["categorical"]


class MultiHotFeature(VocabularyFeature):
    kind: Literal["multi_hot"]
    separator: Annotated[str, Field(min_length=1)] = "|"
    slots: Positive = 8


class DenseFeature(DeclaredFeature):
    kind: Literal["dense"]
    source: str
    log: bool = False


class TextFeature(DeclaredFeature):
    kind: Literal["text"]
    source: str
    min_count: Positive = 1
    width: Positive = 32


class VectorFeature(DeclaredFeature):
    kind: Literal["vector"]
    path: Annotated[str, Field(min_length=1)]
    width: Positive


AnyFeature = Annotated[
    CategoricalFeature | MultiHotFeature | DenseFeature | TextFeature | VectorFeature, Field(discriminator="kind")
]


_OF_CONTEXT = ("categorical", "dense")


def _sound(declared: list[AnyFeature]) -> list[AnyFeature]:
    names = [feature.name for feature in declared]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two features are called {', '.join(twice)}; give each a name of its own")
    odd = [feature.name for feature in declared if feature.of == "context" and feature.kind not in _OF_CONTEXT]
    if odd:
        raise ValueError(
            f"features of the context are {' or '.join(_OF_CONTEXT)}; declare {', '.join(odd)} as one of them"
        )
    return declared


DeclaredFeatures = Annotated[list[AnyFeature], AfterValidator(_sound)]
