"""What a run takes: bytes of memory, and bytes between devices."""
