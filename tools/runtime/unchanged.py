"""What is made of weights once, for as long as these stay as they are.

Only who runs a network knows how long that is: Paddle (3.3.1) counts changes of a tensor, but neither ``set_value`` nor
a step of an optimizer. So layers ask here, and keep nothing themselves.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any

_made: ContextVar[dict[Hashable, Any] | None] = ContextVar("made", default=None)


@contextlib.contextmanager
def unchanged_weights(made: dict[Hashable, Any]) -> Iterator[None]:
    """Within it weights are the same as whenever ``made`` was given before: it holds what was made of them.

    It is empty at first, and whoever lets go of it frees the memory.
    """
    token = _made.set(made)
    try:
        yield
    finally:
        _made.reset(token)


def are_unchanged() -> bool:
    """Whether it is worth while to make something, as the weights will be the same the next time."""
    return _made.get() is not None


def make_once(key: Hashable, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, of the time before if weights are unchanged since."""
    made = _made.get()
    if made is None:
        return make()
    if key not in made:
        made[key] = make()
    return made[key]
