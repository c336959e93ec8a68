"""`msctl top`: what the controller reports, drawn anew every second."""
