"""Small experiments, each of which asks whether what a paper promises is seen here: one file for each."""
