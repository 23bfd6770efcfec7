"""What a model's scores are held against.

Losses of candidates take logits (B, 1+K) whose column 0 is the positive; those of drawn negatives take the positives'
logits (P,) and the negatives' (P, M). All are means over rows, in nats, scalars.
"""

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


def weighted_cross_entropy(logits: Any, negative_weight: float) -> Any:
    """The same with each negative weighted: (softplus(-z_0) + w sum of softplus(z_k)) / (1 + w K), a mean over rows."""
    of_negatives = tf.reduce_sum(tf.nn.softplus(logits[:, 1:]), axis=1)
    weights = 1.0 + negative_weight * tf.cast(tf.shape(logits)[1] - 1, logits.dtype)
    return tf.reduce_mean(tf.nn.softplus(-logits[:, 0]) + negative_weight * of_negatives) / weights


def bpr(logits: Any) -> Any:
    """Bayesian personalised ranking: mean over pairs of softplus(z_k - z_0), that is -log sigmoid(z_0 - z_k).

    Source: Rendle et al. (2009), "BPR: Bayesian Personalized Ranking from Implicit Feedback".
    """
    return tf.reduce_mean(tf.nn.softplus(logits[:, 1:] - logits[:, :1]))


def squared_error(predicted: Any, values: Any) -> Any:
    """Mean squared error: (B,) and (B,) -> scalar, in the square of the values' unit; rows whose value is NaN do not count."""
    known = ~tf.math.is_nan(values)
    squares = tf.square(tf.where(known, predicted - tf.where(known, values, 0.0), 0.0))
    return tf.math.divide_no_nan(tf.reduce_sum(squares), tf.reduce_sum(tf.cast(known, squares.dtype)))


def sampled_softmax(positives: Any, negatives: Any) -> Any:
    """Mean of log(exp(z_0) + sum of exp(z_k)) - z_0 over rows; logits already corrected for how they were drawn."""
    logits = tf.concat([positives[:, tf.newaxis], negatives], axis=1)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=1) - positives)


def generalised_cross_entropy(positives: Any, negatives: Any, beta: float) -> Any:
    """gBCE: the positive's probability is raised to the power beta, -log sigmoid(z_0)^beta - sum of log(1 - sigmoid(z_k)).

    With beta = 1 it is binary cross-entropy, summed over a row. `calibration_beta` gives the beta of a sampling rate.

    Source: Petrov and Macdonald (2023), "gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with
    Negative Sampling", equation 12.
    """
    of_negatives = tf.reduce_sum(tf.nn.softplus(negatives), axis=1)
    return tf.reduce_mean(beta * tf.nn.softplus(-positives) + of_negatives)


def calibration_beta(negatives: int, n_items: int, t: float) -> float:
    """gBCE's beta = a (t (1 - 1/a) + 1/a) with a = negatives / (n_items - 1), the sampling rate; t in [0, 1].

    t = 0 is plain binary cross-entropy; t = 1 makes the probabilities calibrated.

    >>> calibration_beta(negatives=1, n_items=11, t=1.0)
    0.1
    """
    rate = min(1.0, negatives / max(1, n_items - 1))
    return round(rate * (t * (1.0 - 1.0 / rate) + 1.0 / rate), 12)


def top1_max(positives: Any, negatives: Any) -> Any:
    """TOP1-max: sum_k s_k (sigmoid(z_k - z_0) + sigmoid(z_k^2)), s the softmax over the row's negatives; between 0.5 and 2.

    Source: Hidasi and Karatzoglou (2018), as for `bpr_max`; section 3 on ranking-max losses.
    """
    of_each = tf.sigmoid(negatives - positives[:, tf.newaxis]) + tf.sigmoid(tf.square(negatives))
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(negatives, axis=1) * of_each, axis=1))


def bpr_max(positives: Any, negatives: Any, regularisation: float) -> Any:
    """BPR-max: -log sum_k s_k sigmoid(z_0 - z_k) + r sum_k s_k z_k^2, s the softmax over the row's negatives.

    Source: Hidasi and Karatzoglou (2018), "Recurrent Neural Networks with Top-k Gains for Session-based
    Recommendations", equation 11.
    """
    weights = tf.nn.softmax(negatives, axis=1)
    log_gain = tf.nn.log_softmax(negatives, axis=1) + tf.math.log_sigmoid(positives[:, tf.newaxis] - negatives)
    penalty = tf.reduce_sum(weights * tf.square(negatives), axis=1)
    return tf.reduce_mean(regularisation * penalty - tf.reduce_logsumexp(log_gain, axis=1))
