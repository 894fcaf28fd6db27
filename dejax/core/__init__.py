"""What every room shares: types, trees, keys by name, structs, checks."""
