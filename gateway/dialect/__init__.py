"""OpenAI's words on one side, the client's on the other. No sockets here."""
