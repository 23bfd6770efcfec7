"""Data explored: counted in Spark in a few passes, a few hundred figures of them in a table, and on one page of pictures."""
