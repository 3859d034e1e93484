"""Turn everything an online learner has learned into plain JSON values, and read it back."""

from __future__ import annotations

import reprlib
from typing import Annotated, Any, NamedTuple, Self, get_type_hints

import numpy as np

from estimation.features import MAKER_COLUMNS, SLIPPAGE_COLUMNS
from estimation.model_record import STRATA
from estimation.scorecard import BINS
from numerics.arrays import Floats


class LearnedError(ValueError):
    """A saved state that no learner can have written; the message names the field and its value."""


class Number(NamedTuple):
    """Schema of one number: its bounds, both included."""

    least: float
    most: float

    def read(self, name: str, value: Any) -> float:
        """Return the value as a float. Raises LearnedError."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.least <= value <= self.most:
            raise LearnedError(f"{name} must be a number from {self.least:g} to {self.most:g}, not {value!r}")
        return float(value)


class Count(NamedTuple):
    """Schema of one whole number: its bounds, both included."""

    least: float
    most: float

    def read(self, name: str, value: Any) -> int:
        """Return the value as an int. Raises LearnedError."""
        return int(Number(self.least, self.most).read(name, value))


class Table(NamedTuple):
    """Schema of one array of finite numbers: its shape, in which None stands for any length."""

    shape: tuple[int | None, ...]

    def read(self, name: str, value: Any) -> Floats:
        """Return the nested lists as an array. Raises LearnedError."""
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise LearnedError(f"{name} is not a table of numbers: {reprlib.repr(value)}") from None
        if array.size == 0 and self.shape[0] is None:
            # An empty list does not say how long its rows would be.
            array = array.reshape(0, *(length or 0 for length in self.shape[1:]))
        has_shape = array.ndim == len(self.shape) and all(
            wanted in (None, length) for wanted, length in zip(self.shape, array.shape, strict=True)
        )
        if not has_shape:
            shape = tuple("any" if length is None else length for length in self.shape)
            raise LearnedError(f"{name} must have the shape {shape}, not {array.shape}")
        is_finite = np.isfinite(array)
        if not is_finite.all():
            raise LearnedError(f"{name} holds a number that is not finite: {array[~is_finite][0]}")
        return array


class SavedLearner(NamedTuple):
    """Everything an OnlineLearner has learned: one field for each key of the saved JSON object.

    The annotations are the schema; `to_json` and `from_json` both follow it. All sums are decayed unless they
    belong to a score. A window is saved with its oldest row first.
    """

    latency_s: Annotated[float, Number(0, 10)]
    passive_s: Annotated[float, Number(0.1, 60)]
    samples: Annotated[int, Count(0, 1e15)]
    """Samples learned from."""
    worth: Annotated[float, Number(0, 1e15)]
    """Independent samples behind `moments`."""
    overlap: Annotated[float, Number(0, 1e6)]
    """Samples of the last block within one latency, at least 1."""
    agreement: Annotated[Floats, Table((3,))]
    """Slippage predictions: sum of outcome x prediction, sum of squared predictions, sum of squares of the first sum
    over independent groups of samples."""
    fill_agreement: Annotated[Floats, Table((2,))]
    """Fill predictions beyond the base rate: sum of outcome x prediction, sum of squared predictions."""
    crossed: Annotated[Floats, Table((2,))]
    """Quotes that were crossed, all quotes."""
    touched: Annotated[Floats, Table((2,))]
    """Waiting quotes whose queue shrank, all quotes that waited and were not crossed."""
    away: Annotated[Floats, Table((2,))]
    """How far the mid moved away from quotes that were not crossed, bps, and how many there were."""
    usual: Annotated[Floats, Table((5,))]
    """MarketStatistics.typical_sums"""
    moments: Annotated[Floats, Table((len(SLIPPAGE_COLUMNS) + 2, len(SLIPPAGE_COLUMNS) + 2))]
    """Sums of products of (1, X, y) of the slippage regression."""
    market: Annotated[Floats, Table((12,))]
    """MarketStatistics.sums"""
    slippage_score: Annotated[Floats, Table((8,))]
    """SlippageSums.sums of the session"""
    slippage_inside: Annotated[Floats, Table((2, STRATA))]
    """SlippageSums.inside of the session"""
    fill_score: Annotated[Floats, Table((5,))]
    """FillSums.sums of the session"""
    fill_bins: Annotated[Floats, Table((3, BINS))]
    """FillSums.bins of the session"""
    errors: Annotated[Floats, Table((None, STRATA))]
    """Recent slippage errors by size class, bps."""
    fills: Annotated[Floats, Table((None, len(MAKER_COLUMNS) + 2))]
    """Recent quotes: the columns of MakerTakerModel's X, crossed (0 or 1), and the weight of the row."""
    moved: Annotated[Floats, Table((None,))]
    """Recent moves of the mid away from quotes that were not crossed, bps."""
    offered: Annotated[Floats, Table((None,))]
    """Recent quantities offered to crossed quotes, in typical sizes at the touch."""
    moved_crossed: Annotated[Floats, Table((None,))] = np.zeros(0)
    """The moves of the mid away from the same quotes, bps; earlier files lack them."""
    crossed_recently: Annotated[Floats, Table((2,))] = np.zeros(2)
    """`crossed` of a shorter memory; earlier files lack it."""
    likelihoods: Annotated[Floats, Table((2,))] = np.zeros(2)
    """Log likelihood of the outcomes of quotes by the rates of both memories; earlier files lack it."""
    observed_s: Annotated[float, Number(0, 1e15)] = 0.0
    """MarketStatistics.observed_s; earlier files lack it."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, under their names."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in self._asdict().items()
        }

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """Read and check the fields of a saved JSON object; other keys are ignored. Raises LearnedError.

        A field with a default may be missing.
        """
        if not isinstance(saved, dict):
            raise LearnedError(f"what was learned is not an object but {type(saved).__name__}")
        may_be_missing = cls._field_defaults.keys() - saved.keys()
        values: dict[str, Any] = {
            name: schema.read(name, saved.get(name)) for name, schema in _SCHEMA.items() if name not in may_be_missing
        }
        return cls(**values)


_SCHEMA: dict[str, Number | Count | Table] = {
    name: annotation.__metadata__[0] for name, annotation in get_type_hints(SavedLearner, include_extras=True).items()
}
