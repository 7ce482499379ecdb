"""Tests that keep the local stack honest: the fakes behave as the services that they stand for."""
