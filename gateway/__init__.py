"""The part that serves: OpenAI's HTTP in front of a controller, as one of its clients. No torch."""
