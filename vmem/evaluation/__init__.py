"""How good retrieval is, measured in the procedural world where the truth is known.

truth: what a stored view truly shows of a target · walks: ways through a world, as steps · metrics:
numbers from truth and answers · published: a memory filled the reference's way, for comparison ·
trials: walks remembered, queried and scored · report: tables.
``python -m vmem.evaluation`` makes the tables of docs/retrieval.md.
"""
