"""Tests of everything under `infra/`, on resources that Bicep predicts."""
