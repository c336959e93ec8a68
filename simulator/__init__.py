"""The same core under a virtual clock, with cost models where workers would compute: what a cluster
that nobody has at hand would do with a workload."""
