"""`msctl trace`: the story of one request, as a timeline and as a file for trace viewers."""
