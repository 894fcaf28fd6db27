"""Small real data sets that travel with the package; see ATTRIBUTION.md."""
