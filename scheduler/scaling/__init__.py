"""How many replicas each pool should have: policies on numbers, the paper's and ours."""
