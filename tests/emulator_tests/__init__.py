"""Tests that the local stack behaves like the services it replaces."""
