"""Turn estimates into rows and tables, and write them safely to files."""
