"""`msctl demo --burst`: traffic that comes in bursts, and the workers that come and go with it."""
