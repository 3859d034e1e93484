"""Find the published fees in this folder, dated data in one file a venue, and offer them all as SCHEDULES."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from fees.schedules import FeeSchedule, FeeTable


def _find_tables() -> list[FeeTable]:
    """Return the TABLE of every file in this folder, in the order in which venues are listed."""
    tables: list[FeeTable] = [import_module(f"{__name__}.{file.name}").TABLE for file in iter_modules(__path__)]
    return sorted(tables, key=lambda table: (table.rank, table.venue))


_TABLES = _find_tables()

TITLES: Mapping[str, str] = MappingProxyType({table.venue: table.title for table in _TABLES})
"""The names of the venues whose fees are kept here, as the venues write them, by the venue's key."""

SCHEDULES: Mapping[tuple[str, str, str], FeeSchedule] = MappingProxyType(
    {
        (schedule.venue, schedule.product, schedule.edition): schedule
        for table in _TABLES
        for schedule in table.schedules
    }
)
"""Every published schedule by venue, product and edition."""
