"""Which past views matter for a view to come, and why."""

from vmem.retrieval.answer import ask, retrieve
from vmem.retrieval.evidence import Evidence, Selection, SelectionConfig, Strategy
from vmem.retrieval.strategies import STRATEGIES, register

__all__ = [
    "STRATEGIES",
    "Evidence",
    "Selection",
    "SelectionConfig",
    "Strategy",
    "ask",
    "register",
    "retrieve",
]
