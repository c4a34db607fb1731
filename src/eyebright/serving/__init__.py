"""A classifier put to work: its web page."""
