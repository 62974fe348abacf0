"""Backups of a home: taken while it is served, restored into a new home after everything was checked."""
