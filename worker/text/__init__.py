"""The text stage: paged KV, attention, steps of many requests at once."""
