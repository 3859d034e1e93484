"""Check that the list of guards is true: each guard still stands where the list says, so that it can be removed."""

from __future__ import annotations

import pytest

from benchmarks.mutations import MUTATIONS, Mutation
from tests.support.paths import PROJECT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_listed_guard_stands_once_in_its_file(mutation: Mutation) -> None:
    """A guard that benchmarks/mutations.py removes stands once in its file and is named in the document."""
    assert (PROJECT / mutation.file).read_text().count(mutation.old) == 1
    assert f"| {mutation.guard} | `{mutation.file}` |" in (PROJECT / "docs/mutations.md").read_text()
