"""Everything that names a back end, a processor or a release of JAX."""
