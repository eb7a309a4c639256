"""One short script for each tool that ``benchmarks/quantization.py`` compares, run by the Python that has the tool."""
