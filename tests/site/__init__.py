"""A small site for the tests: something that videos can be attached to."""
