"""Tests of everything under `infra/`, on the resources that Microsoft's Bicep predicts."""
