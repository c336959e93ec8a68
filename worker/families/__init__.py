"""The torch half of each model family."""
