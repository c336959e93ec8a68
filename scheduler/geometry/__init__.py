"""Pure arithmetic from an image's size to tiles, tokens and spans, one file per model family."""
