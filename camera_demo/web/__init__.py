"""The live page: what it serves, to whom, and the one place where the loop and the browsers meet."""
