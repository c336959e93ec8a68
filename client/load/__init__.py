"""The load generator of `msctl bench`: makes requests, sends them on time, and measures."""
