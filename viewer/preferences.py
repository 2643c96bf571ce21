"""What a browser remembers of its user's choices from one visit to the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, get_args

from viewer.settings import (
    KEYMAP_CHOICES,
    LAYOUTS,
    RENDERERS,
    ROWS,
    TARGET_VIEWS,
    VIEWS_FROM,
    WALK_MODES,
    Heat,
    Layer,
    Settings,
)
from vmem.retrieval import STRATEGIES
from vmem.types import WEIGHTINGS

log = logging.getLogger(__name__)

LONGEST = 4096
"""Characters of what is remembered; anything longer is not ours."""


def _one_of(known: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in known


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and low <= value <= high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


SETTINGS: Mapping[str, Callable[[Any], bool]] = {
    "strategy": _one_of(STRATEGIES),
    "context_views": lambda value: isinstance(value, int) and _within(1, 12)(value),
    "suppression": _within(0, 1),
    "weighting": _or_none(_one_of(WEIGHTINGS)),
    "density": _within(0.01, 1),
    "use_next": _is_bool,
    "rows": _one_of(ROWS),
    "keymap": _one_of(KEYMAP_CHOICES),
    "mode": _one_of(WALK_MODES),
    "layout": _one_of(LAYOUTS),
    "targets": _one_of(TARGET_VIEWS),
    "overlay": _is_bool,
    "view_from": _one_of(VIEWS_FROM),
    "step_size": _within(0.02, 0.5),
    "turn_degrees": _within(1, 30),
}
SCENE: Mapping[str, Callable[[Any], bool]] = {
    "heat": _one_of(get_args(Heat)),
    "layer": _one_of(get_args(Layer)),
    "wipe": _within(0, 1),
    "frustums": _is_bool,
    "billboards": _is_bool,
    "provenance": _is_bool,
    "drawn_by": _one_of(RENDERERS),
}
"""What is remembered of Settings and of its scene, each with a check of its values."""


def remembered(settings: Settings) -> str:
    """The choices as one line of JSON."""
    return json.dumps(
        {name: getattr(settings, name) for name in SETTINGS}
        | {name: getattr(settings.scene, name) for name in SCENE}
    )


def apply(text: str | None, settings: Settings) -> None:
    """Take over what is remembered; anything that does not make sense is left as it is."""
    if not text or len(text) > LONGEST:
        return
    try:
        chosen = json.loads(text)
    except (ValueError, RecursionError):
        log.info("what the browser remembers cannot be read")
        return
    if not isinstance(chosen, dict):
        return
    for checks, target in ((SETTINGS, settings), (SCENE, settings.scene)):
        for name, fits in checks.items():
            if name in chosen and fits(chosen[name]):
                setattr(target, name, chosen[name])
