"""`recsys-doctor`: whether what the jobs need is there and works, and for what does not, the command that mends it."""
