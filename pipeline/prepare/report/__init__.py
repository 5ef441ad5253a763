"""The dataset report: statistics, warnings, the HTML page."""
