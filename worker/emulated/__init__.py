"""Workers that sleep instead of computing: many in one process, without torch, for the controller's
benchmark and for trying policies on clusters that nobody has at hand."""
