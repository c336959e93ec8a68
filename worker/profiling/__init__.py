"""Measures each component of a checkpoint by itself, and fits the cost models to it."""
