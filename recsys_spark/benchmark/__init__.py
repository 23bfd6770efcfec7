"""Models by data sets by seeds: the stages themselves, run for each cell, and what they came to side by side."""
