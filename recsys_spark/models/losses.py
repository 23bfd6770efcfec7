"""What a model's scores are held against."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def binary_cross_entropy(logits: Any) -> Any:
    """Mean binary cross-entropy of candidates whose column 0 is the positive: logits (B, 1+K) -> scalar, in nats.

    With z the logits, and softplus(x) = log(1 + exp(x)) = -log(1 - sigmoid(x)) = -log(sigmoid(-x)),

        loss = sum over rows b of (softplus(-z[b, 0]) + sum over k >= 1 of softplus(z[b, k])) / (B * (1 + K))

    Source: He et al. (2017), "Neural Collaborative Filtering", equation 7, as a mean.
    """
    positives, negatives = logits[:, :1], logits[:, 1:]
    return tf.reduce_mean(tf.nn.softplus(tf.concat([-positives, negatives], axis=1)))
