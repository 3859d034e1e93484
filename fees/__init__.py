"""Keep the dated fee schedules of the venues, and read schedules that a user wrote."""
