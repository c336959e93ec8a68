"""The part that speaks: typed messages over ZeroMQ, tensors peer to peer."""
