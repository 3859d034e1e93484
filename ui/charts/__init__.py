"""The charts of the page as plain data: option dictionaries of ECharts."""
