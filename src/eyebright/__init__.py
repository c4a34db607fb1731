"""Eyebright."""
