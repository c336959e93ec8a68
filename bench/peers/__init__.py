"""Other servers, each run beside ours on the same cores. Nothing here imports them."""
