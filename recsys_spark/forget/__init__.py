"""Forgetting people: out of tables and their history, out of artifacts, and kept out from then on."""
