"""The study: which source task saves how many labels, from one file to one page."""
