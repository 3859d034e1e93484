"""The published fees as dated data: one file a venue, found in this folder, all reached through SCHEDULES."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from fees.schedules import FeeSchedule, FeeTable


def _tables() -> list[FeeTable]:
    """Return the TABLE of every file in this folder, in the order in which venues are listed."""
    tables: list[FeeTable] = [import_module(f"{__name__}.{found.name}").TABLE for found in iter_modules(__path__)]
    return sorted(tables, key=lambda table: (table.rank, table.venue))


_TABLES = _tables()

TITLES: Mapping[str, str] = MappingProxyType({table.venue: table.title for table in _TABLES})
"""The venues whose fees are kept here, and how they write their names."""

SCHEDULES: Mapping[tuple[str, str, str], FeeSchedule] = MappingProxyType(
    {(each.venue, each.product, each.edition): each for table in _TABLES for each in table.schedules}
)
"""Every published schedule by venue, product and edition."""
