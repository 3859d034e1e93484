"""Ints, tables and safe files of the exports."""
