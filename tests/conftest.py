"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("utsearch", deadline=None)  # a busy machine is no failure
settings.load_profile("utsearch")
