"""Dated fee schedules of the venues, and schedules that a user wrote."""
