"""Building blocks of the encoder."""
