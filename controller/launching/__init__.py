"""Starting workers: on this host, on a Ray cluster, or by advising a person."""
