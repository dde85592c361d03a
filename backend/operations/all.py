"""Importing this registers every operation that comes with the program."""

from __future__ import annotations
