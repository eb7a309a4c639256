"""Side-by-side measurements; none is part of the tests."""
