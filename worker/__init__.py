"""The part that computes: one process per replica, an asyncio agent and one torch thread."""
