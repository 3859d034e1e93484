"""Compile, or load from the cache, all that a live market needs, before its first message comes."""

from __future__ import annotations

import estimation.warm_up
from feeds import fast_parser


def warm_up() -> None:
    """Warm up the reading of messages, the pricing and the learning."""
    fast_parser.warm_up()
    estimation.warm_up.warm_up()


if __name__ == "__main__":
    warm_up()
