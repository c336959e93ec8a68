"""What requests are promised, and how often it was kept."""
