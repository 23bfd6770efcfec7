"""A trained model -> `training_report`, a page with its pictures, and files for the embedding projector."""
