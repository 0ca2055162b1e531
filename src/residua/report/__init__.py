"""Figures as SVG text and a report as one offline HTML page; importing it loads nothing heavy."""
