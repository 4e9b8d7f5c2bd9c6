"""Benchmarks. They print what they measured and judge nothing."""
