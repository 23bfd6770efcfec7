"""A feed and a model -> a trained artifact: the loop, its ranks, checkpoints and tracking."""
