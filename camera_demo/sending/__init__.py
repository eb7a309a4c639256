"""Collected pictures sent home at night: nothing is sent unless somebody asks for it."""
