"""Data sets made better: check, clean, apply, add, each with the page that shows what it did."""
