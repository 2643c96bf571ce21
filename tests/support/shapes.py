"""Array shapes in signatures (jaxtyping), checked by beartype in every test, in a function's first
calls.

``pyproject.toml`` hands ``checked`` to jaxtyping's import hook, which puts it on every function and
dataclass of the packages named there. conftest imports this module before any of those. Tests that
pass wrong shapes on purpose, to read our own errors, use the fixture ``unchecked_shapes``.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
import numba
from beartype import beartype
from jaxtyping import AbstractArray

CHECKED_CALLS = 10
"""Calls of a function that are checked in each test: in loops, the others would say the same
for a good part of all tests' time."""
_calls: Counter[Callable[..., Any]] = Counter()


def _has_shape(hint: Any) -> bool:
    is_array = isinstance(hint, type) and issubclass(hint, AbstractArray)
    return is_array or any(_has_shape(part) for part in get_args(hint))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with its array arguments and results checked. Other types are pyright's work."""
    hints = function.__annotations__
    shapes = {name: hint for name, hint in hints.items() if _has_shape(hint)}
    if not shapes:
        return function
    function.__annotations__ = dict.fromkeys(hints, Any) | shapes
    return beartype(function)


def _of_the_kernel_itself(njit: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.njit`` that compiles a kernel without what the hook wrapped around it."""

    def compiling(*args: Any, **options: Any) -> Any:
        if args and callable(args[0]):
            return njit(inspect.unwrap(args[0]), *args[1:], **options)
        return lambda kernel: njit(*args, **options)(inspect.unwrap(kernel))

    return compiling


def _names_a_shape(hint: Any) -> bool:
    """Hints are text in most modules; the only text within such a text is a shape."""
    return "'" in hint if isinstance(hint, str) else _has_shape(hint)


def _only_with_shapes(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """``jaxtyping.jaxtyped`` that leaves functions and dataclasses without shapes as they are.

    It wraps functions within functions whenever they are made, which takes half a millisecond.
    """

    def choosing(**options: Any) -> Callable[..., Any]:
        def chosen(made: Any) -> Any:
            function = made.__init__ if inspect.isclass(made) else made
            hints = getattr(function, "__annotations__", {}).values()
            if inspect.isfunction(function) and not any(map(_names_a_shape, hints)):
                return made
            careful = jaxtyped(made, **options)
            return careful if inspect.isclass(made) else _first_calls(made, careful)

        return chosen

    return choosing


def _first_calls(made: Callable[..., Any], careful: Callable[..., Any]) -> Callable[..., Any]:
    """``made``, of which a test's first calls are ``careful`` ones."""

    @functools.wraps(made)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _calls[made] >= CHECKED_CALLS:
            return made(*args, **kwargs)
        _calls[made] += 1
        return careful(*args, **kwargs)

    return call


def check_again() -> None:
    """The next calls are checked, however many there were: another test begins."""
    _calls.clear()


jaxtyping.jaxtyped = _only_with_shapes(jaxtyping.jaxtyped)
numba.njit = _of_the_kernel_itself(numba.njit)
