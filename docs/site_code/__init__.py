"""What builds the site beside Sphinx: pages as they are read, run, drawn and linked."""
