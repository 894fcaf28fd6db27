"""The host driver: what happens between chunks of rounds."""
