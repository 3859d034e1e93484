"""A click that counts once."""

from __future__ import annotations

from collections.abc import Callable


def once(action: Callable[[], object]) -> Callable[[], None]:
    """What a button calls: the action, but only once until the button is drawn again.

    A click that meets one of the page's timers reaches the server twice: with the timer's run, and as itself.

    >>> step = once(lambda: print("a step"))
    >>> step(); step()
    a step
    """
    waiting = [action]

    def act() -> None:
        if waiting:
            waiting.pop()()

    return act
