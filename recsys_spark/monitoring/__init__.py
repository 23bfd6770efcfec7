"""Monitoring: what becomes of the published lists, day by day, held against bounds that its own history gives."""
