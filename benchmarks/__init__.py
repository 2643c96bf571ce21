"""Timings, as ratios within one run where a comparison is meant; never part of the tests."""
