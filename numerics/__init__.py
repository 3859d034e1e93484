"""Compile, window and regress numbers, without any knowledge of markets."""
