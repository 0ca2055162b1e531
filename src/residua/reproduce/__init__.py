"""The papers' tables and figures: published rows, the runs that reproduce them, verdicts and pages."""
