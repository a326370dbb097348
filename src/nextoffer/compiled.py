"""Compiled kernels: loops that numba turns into machine code, used once somebody has called for them.

Compiling takes seconds the first time on a machine and loading what was compiled takes a few tenths of a second, so
nothing here happens on import or for a small job. A nightly batch or a service calls `warm_up` once; until then, and
where numba is missing, callers take their numpy path, which gives the same result to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from importlib.util import find_spec
from threading import Event, Lock
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_KERNELS: list[Kernel[..., Any]] = []
_LOCK = Lock()
_READY = Event()


class Kernel(Generic[P, R]):
    """A function that runs as machine code. Called before `warm_up`, it compiles itself.

    Parameters
    ----------
    function
        Loops over numpy arrays, in the part of Python that numba knows.
    signatures
        The argument types it is compiled for, as numba writes them: ``"void(float64[::1], int64)"``.
    """

    def __init__(self, function: Callable[P, R], signatures: tuple[str, ...]) -> None:
        self.function, self.signatures = function, signatures
        self._machine: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it."""
        machine = self._machine or self.compile()
        return machine(*args, **kwargs)

    def compile(self) -> Callable[P, R]:
        """Return the compiled function, from numba's cache where it is there."""
        if self._machine is None:
            import numba

            self._machine = numba.njit(list(self.signatures), cache=True, nogil=True)(self.function)
        return self._machine


def kernel(*signatures: str) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Mark a function as a kernel for these argument types.

    >>> @kernel("float64(float64[::1])")  # doctest: +SKIP
    ... def total(values):
    ...     out = 0.0
    ...     for value in values:
    ...         out += value
    ...     return out
    """

    def marked(function: Callable[P, R]) -> Kernel[P, R]:
        made = Kernel(function, signatures)
        _KERNELS.append(made)
        return made

    return marked


def ready() -> bool:
    """Return whether kernels are compiled, so that callers may use them."""
    return _READY.is_set()


def warm_up() -> bool:
    """Compile every kernel marked so far, or load it from the cache; return whether kernels can be used.

    Takes seconds the first time on a machine and tenths of a second after that. Safe to call from any thread.
    """
    with _LOCK:
        if not _READY.is_set() and find_spec("numba") is not None:
            for each in _KERNELS:
                each.compile()
            _READY.set()
    return _READY.is_set()


def cool_down() -> None:
    """Go back to numpy, as before `warm_up`."""
    _READY.clear()
