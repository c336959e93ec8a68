"""The part that listens and acts: owns the core, queues, membership. No torch."""
