"""The parts of the page that app.py puts together."""
