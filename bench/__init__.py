"""Benchmarks against peers and limits, each printing ratios."""
