"""Tux Paint's stamps: real pictures with captions, from a Debian package."""
