"""Why a retrieval is what it is: its JSON, warnings about it, and the account of one surfel."""

from vmem.retrieval.explain.surfel_account import NoSurfelError, Sighting, SurfelAccount, account
from vmem.retrieval.explain.to_json import explanation_json
from vmem.retrieval.explain.warnings import warnings

__all__ = [
    "NoSurfelError",
    "Sighting",
    "SurfelAccount",
    "account",
    "explanation_json",
    "warnings",
]
