"""What a batch of each stage takes, in seconds, predicted from what is known before it runs."""
