"""Release 1: runs, their texts, what was counted in them, and comparisons.

New databases are made from `schema.py`; this is where those of release 1 begin.
"""

revision = "0001"
down_revision = None
