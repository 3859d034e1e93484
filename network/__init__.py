"""Connections, reconnection and HTTP."""
