"""The jobs people come for, as Python functions; the command line only words their questions and answers."""
