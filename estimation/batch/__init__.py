"""Estimate many books at once."""
