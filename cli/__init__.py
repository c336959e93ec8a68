"""The part that shows: the msctl command."""
