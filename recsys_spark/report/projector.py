"""Files for TensorFlow's embedding projector (projector.tensorflow.org, or TensorBoard's own)."""

from __future__ import annotations

import io

import numpy as np

from recsys_spark.report.space import Item, Space

_HEAD = "title\tcategory\titem_id\tusers"
_CONFIG = """\
embeddings {
  tensor_name: "items"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


def projector_files(space: Space) -> dict[str, bytes]:
    """Vectors without a head, metadata with one, a row an item in the same order, and the configuration that names both.

    In the projector's page both are given to Load; TensorBoard finds them with `--logdir` set to their folder.
    """
    vectors = io.StringIO()
    np.savetxt(vectors, space.vectors, fmt="%.6g", delimiter="\t")
    rows = [_HEAD, *map(_row, space.items), ""]
    return {
        "projector/vectors.tsv": vectors.getvalue().encode(),
        "projector/metadata.tsv": "\n".join(rows).encode(),
        "projector/projector_config.pbtxt": _CONFIG.encode(),
    }


def _row(item: Item) -> str:
    """Text without the signs that tell columns and rows apart."""
    return "\t".join(" ".join(str(value).split()) for value in (item.title, item.category, item.item_id, item.users))
