"""The search of a model's best settings, on the validation part alone."""
