"""Where data come from: one file for each kind of source, and the table that names them."""
