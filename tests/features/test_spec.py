from __future__ import annotations

from recsys_spark.features.spec import FeatureSpec, codes_length, context_length, feature_specs, numbers_length


def row(
    position: int, feature: str, of: str, kind: str, first: int, length: int, size: int | None
) -> dict[str, object]:
    given = {"feature": feature, "of": of, "kind": kind, "first": first, "length": length, "size": size}
    return {**given, "position": position, "as_of_date": None, "fit": "evaluate"}


ROWS = [
    row(2, "price", "item", "dense", 0, 1, None),
    row(0, "genres", "item", "multi_hot", 0, 4, 20),
    row(3, "title", "item", "text", 1, 32, None),
    row(1, "gender", "user", "categorical", 0, 1, 4),
]


def test_specs_are_read_in_the_order_of_their_declaration():
    specs = feature_specs(ROWS)
    assert [spec.name for spec in specs] == ["genres", "gender", "price", "title"]
    assert specs[0] == FeatureSpec("genres", "item", "multi_hot", 0, 4, 20)
    assert [spec.in_codes for spec in specs] == [True, True, False, False]


def test_lengths_of_the_encoded_rows():
    specs = feature_specs(ROWS)
    assert (codes_length(specs, "item"), numbers_length(specs, "item")) == (4, 33)
    assert (codes_length(specs, "user"), numbers_length(specs, "user")) == (1, 0)
    assert context_length(specs) == 0
    hour, ago = FeatureSpec("hour", "context", "multi_hot", 0, 2, 9), FeatureSpec("ago", "context", "dense", 0, 1, None)
    assert context_length([*specs, hour, ago]) == 3
