"""One pinned version of the example tables -> batches for a rank, each rank its own files."""
