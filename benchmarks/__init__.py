"""Side-by-side runs against peers: `python -m benchmarks`, or one suite by name."""
