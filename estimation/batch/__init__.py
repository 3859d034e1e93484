"""The estimates of many books at once."""
