"""Events come in: from files (`ingest`) or made up (`generate`)."""
