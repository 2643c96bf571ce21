"""A walk as one file: an SQLite database with a step a transaction, opened without trust."""

from vmem.store.values import NodeRow, Origin, StoreError, Summary, WalkHeld
from vmem.store.walk_file import WalkFile

__all__ = ["NodeRow", "Origin", "StoreError", "Summary", "WalkFile", "WalkHeld"]
