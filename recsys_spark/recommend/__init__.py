"""A model and each user's history -> the top-N table, with a recorded fallback for those whom the model does not know."""
