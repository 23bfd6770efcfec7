"""The loss of clicks on what was shown, and what it makes of the position where it was shown.

A click takes two things: that the user looks at the position, and that the item is wanted. Without the first, an item that
an older ranking put on top looks better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import tensorflow as tf

IGNORE, TOWER, WEIGHTS = "ignore", "tower", "weights"
_HANDLINGS: Final = (IGNORE, TOWER, WEIGHTS)


class ClickLoss(keras.layers.Layer):
    """Weighted binary cross-entropy of clicks, sum of w_b l_b / sum of w_b, with z_b the logit and k_b the position of row b.

        ignore:   l_b = softplus(-z_b) if clicked, else softplus(z_b);  w_b = 1
        tower:    the same with z_b + t[k_b], t one number a position, learnt; 0 for a share of the rows
        weights:  that of `ignore` with w_b = 1 / propensity[k_b] for clicks, 1 for the others

    The tower is part of the loss, never of a model's score. Its source: Zhao et al. (2019), "Recommending What Video to
    Watch Next: A Multitask Ranking System", RecSys '19; here on the position alone. The weights': Joachims,
    Swaminathan and Schnabel (2017), "Unbiased Learning-to-Rank with Biased Feedback", WSDM '17. Where a click has the
    probability p g (looked at, then wanted), weights make the odds g / (1 - p g): in the order of g while clicks are rare.
    The estimate that is exact (Saito et al. 2020, WSDM '20) weighs clicks with 1 - 1 / p as non-clicks too, which is
    negative and has no lower bound, so it is not used.

    Args:
        position: `ignore`, `tower` or `weights`.
        codes: how many position codes there are, 0 missing and 1 unknown among them.
        dropout: share of the rows whose position the tower is not told.
        propensities: (codes,) the chance that a position is looked at, over 0, for the weights.
    """

    def __init__(
        self,
        position: str = IGNORE,
        codes: int = 2,
        dropout: float = 0.0,
        propensities: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if position not in _HANDLINGS:
            raise ValueError(f"position is {position!r}, expected one of {', '.join(_HANDLINGS)}")
        if position == WEIGHTS and (len(propensities) != codes or min(propensities) <= 0.0):
            raise ValueError(f"expected a propensity over 0 for each of {codes} positions, got {list(propensities)}")
        self.position, self.codes, self.dropout, self.propensities = position, codes, dropout, tuple(propensities)

    def build(self, input_shape: Any = None) -> None:
        """Make the tower, where there is one."""
        if self.position == TOWER:
            self.tower = self.add_weight(
                shape=(self.codes, 1), initializer="zeros", autocast=False, name="position_tower"
            )

    def call(self, logits: Any, batch: Mapping[str, Any], seed: Any) -> Any:
        """Logits (B,) of the items shown, `clicked` (B,) and `position` (B,) of the batch -> the loss, a scalar.

        Args:
            seed: (2,) integers, of which rows are not told.
        """
        clicked, weights = batch["clicked"], tf.ones_like(logits)
        if self.position == TOWER:
            shift = tf.gather(self.tower.value, batch["position"])[:, 0]
            told = tf.random.stateless_uniform(tf.shape(shift), seed) >= self.dropout
            logits += tf.where(told, shift, 0.0)
        if self.position == WEIGHTS:
            of_clicks = 1.0 / tf.gather(tf.constant(self.propensities, logits.dtype), batch["position"])
            weights = tf.where(clicked > 0.0, of_clicks, weights)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=clicked, logits=logits)
        return tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)
