"""A walk as transactions: steps, undo, branches."""

from vmem.session.config import ConfigError, SessionConfig
from vmem.session.history import History, HistoryError, Node
from vmem.session.refusal import StepRefused
from vmem.session.session import Session, SessionBusy, SessionClosed
from vmem.session.step import Step, StepError

__all__ = [
    "ConfigError",
    "History",
    "HistoryError",
    "Node",
    "Session",
    "SessionBusy",
    "SessionClosed",
    "SessionConfig",
    "Step",
    "StepError",
    "StepRefused",
]
