"""The report: results.json's schema, the HTML file, the terminal headline and the model cards.

Leaves out: computing anything. Every number shown here was computed elsewhere and is in `Results`.
"""
