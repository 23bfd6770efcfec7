"""The task of conversion: its loss by numpy, and what a model learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from recsys_spark.models.multitask import MultiTask, log_probabilities_of_both
from tests.models.test_contract import ITEMS, USERS, checkerboard, make, trained


def test_probabilities_of_both_are_the_products_and_finite_at_the_ends():
    first, second = np.meshgrid(np.linspace(-9.0, 9.0, 7), np.linspace(-9.0, 9.0, 7))
    both = expit(first) * expit(second)
    log_both, log_not = log_probabilities_of_both(tf.constant(first), tf.constant(second))
    np.testing.assert_allclose(log_both, np.log(both), rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_not, np.log1p(-both), rtol=0, atol=1e-12)
    ends = tf.constant([[200.0, 200.0], [-200.0, 200.0], [-200.0, -200.0]])
    assert np.isfinite(log_probabilities_of_both(ends[:, 0], ends[:, 1])).all()


def test_no_negative_converts_and_of_the_positives_those_that_did():
    model = make("multitask", conversions=True, task_weights=[0.0, 0.0, 1.0])
    batch = checkerboard("rated_pairs", 8, np.random.default_rng(2))
    interaction, _, conversion = (np.asarray(each, np.float64) for each in model.tasks(batch["user"], batch["items"]))
    losses = []
    for row, converted in enumerate(batch["converted"]):
        for column, label in enumerate([converted, 0.0, 0.0]):
            both = expit(interaction[row, column]) * expit(conversion[row, column])
            losses.append(-np.log(both if label else 1.0 - both))
    np.testing.assert_allclose(model.training_loss(batch, tf.constant([1, 2], tf.int64)), np.mean(losses), rtol=1e-5)


def test_ranked_by_conversion_what_is_bought_comes_first():
    model = make("multitask", conversions=True, rank_by="conversion")
    assert not model.gives_logits  # not of an interaction
    trained(model)
    items = np.tile(np.arange(ITEMS, dtype=np.int32), (6, 1))
    users = np.arange(6, dtype=np.int32)
    scores = np.asarray(model({"user": users, "items": items}))
    converts = ((items + users[:, None]) % 2 == 0) & (items < 4)  # two of each user's own ten items
    assert (np.sort(scores.argsort(axis=1)[:, -2:], axis=1) == np.where(converts)[1].reshape(6, 2)).all()
    interaction, values, conversion = (np.asarray(each) for each in model.tasks(users, items))
    both = expit(interaction) * expit(conversion)
    np.testing.assert_allclose(expit(scores - model.value_share * values), both, rtol=1e-4, atol=1e-6)


def test_a_model_with_conversions_is_made_again_from_its_configuration():
    model = make("multitask", conversions=True, uncertainty=True)
    again = MultiTask.from_config(model.get_config())
    again.build()
    assert [each.shape for each in again.weights] == [each.shape for each in model.weights]
    assert model.log_noise.shape == (3,)
    with pytest.raises(ValueError, match="rank_by is 'conversion'"):
        MultiTask(USERS, ITEMS, rank_by="conversion")
