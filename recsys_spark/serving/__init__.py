"""Serving: one user's list at once, from a store that publish fills. What answers requests knows neither Spark nor TensorFlow."""
