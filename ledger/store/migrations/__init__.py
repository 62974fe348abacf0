"""The migrations of the database: one module for each revision, in the order of their numbers.

A module is named ``rNNNN_what_it_does.py`` and has ``revision``, ``down_revision``, what it does in English and Chinese
(``WHAT``) and ``upgrade()``, written with alembic's operations for SQLite and PostgreSQL alike. `ledger.store.revisions`
runs them. There are no downgrades; restore the backup instead. docs/upgrading.md describes how to write a migration.
"""
