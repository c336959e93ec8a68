"""ModServe: a server for large multimodal models, one stage at a time."""
