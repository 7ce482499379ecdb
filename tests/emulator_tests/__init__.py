"""Tests of the local stack: the fakes behave like the services that they replace."""
