"""What is asked and when: drawn from distributions, or read from a trace. Numbers only."""
