"""What is done beside the nights: keeping tables small and readable, following a row back to its events."""
