"""The outside, one module for each system. Adapters translate and decide nothing."""
