"""The list of guards stays true: each one is still where the list says, so that it can be taken out."""

from __future__ import annotations

import pytest

from benchmarks.mutations import MUTATIONS, Mutation
from tests.support.paths import PROJECT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_a_listed_guard_is_in_its_file_once(mutation: Mutation) -> None:
    """What benchmarks/mutations.py takes out stands in its file, once, and is named in the document."""
    assert (PROJECT / mutation.file).read_text().count(mutation.old) == 1
    assert f"| {mutation.guard} | `{mutation.file}` |" in (PROJECT / "docs/mutations.md").read_text()
