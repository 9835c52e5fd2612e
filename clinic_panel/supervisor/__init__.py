"""Processes that are watched: ``clinic up`` and ``clinic demo``."""
