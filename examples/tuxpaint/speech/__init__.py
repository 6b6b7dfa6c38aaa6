"""Tux Paint's recordings: captions as people speak them, and what things sound like. Stage 2 on real sounds."""
