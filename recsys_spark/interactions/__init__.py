"""Events -> dense indices, the split, and one row a user and item."""
