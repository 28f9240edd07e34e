"""Fixtures that several rooms of tools share."""

import os

import pytest


@pytest.fixture
def no_sync(monkeypatch):
    """For tests that write much and do not cut the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def root(tmp_path):
    """A folder with a cache folder, and a guard that nothing lands beside it."""
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
