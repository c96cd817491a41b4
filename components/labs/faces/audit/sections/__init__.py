"""Sections of audit.html."""
