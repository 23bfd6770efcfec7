"""Interactions -> what a model trains on and is evaluated on: positives beside negatives drawn by hash."""
