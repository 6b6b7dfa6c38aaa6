"""A procedural world of pictures, captions and sounds, small enough to learn from in minutes."""
