"""Benchmarks: each prints a table and writes JSON. Not shipped, and no tests."""
