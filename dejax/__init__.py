"""dejax: networks of learners that train together, simulated at thousands of nodes in JAX."""
