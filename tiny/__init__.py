"""A small model that really sees: how it is trained, and the checkpoint that ships."""
