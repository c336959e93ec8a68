"""What a worker computes, in numbers: who is in a step, how long it takes, what is emitted.

Emulated workers sleep by it, simulated ones jump from step to step.
"""
