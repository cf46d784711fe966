"""Pretext image collections as they lie on disk."""
