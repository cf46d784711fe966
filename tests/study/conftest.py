"""Helpers of the study's tests lie here, where every folder below can import them."""
