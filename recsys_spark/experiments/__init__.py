"""Experiments: how many users they take, who gets which variant, and what came of it; rankings compared without one."""
