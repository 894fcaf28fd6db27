"""What a run takes: bytes of memory, bytes between devices, and privacy."""
