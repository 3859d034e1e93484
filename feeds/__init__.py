"""Find the venues in this folder, one file each, and offer them all as VENUES."""

from importlib import import_module
from pkgutil import iter_modules

from feeds.base import Feed, FeedError, Product, Venue

__all__ = ["VENUES", "Feed", "FeedError", "Product", "Venue"]


def _find_venues() -> dict[str, Venue]:
    """Return the VENUES of every file in this folder, by name and in the order of the pickers."""
    modules = [import_module(f"{__name__}.{file.name}") for file in iter_modules(__path__)]
    venues: list[Venue] = [venue for module in modules for venue in getattr(module, "VENUES", ())]
    return {venue.name: venue for venue in sorted(venues, key=lambda venue: (venue.rank, venue.name))}


VENUES: dict[str, Venue] = _find_venues()
