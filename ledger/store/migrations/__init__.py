"""The migrations of the database, one module a revision, in the order of their numbers.

A module is named ``rNNNN_what_it_does.py`` and has ``revision``, ``down_revision``, what it does in English and Chinese
(``WHAT``) and ``upgrade()``, written with alembic's operations for SQLite and PostgreSQL alike. `ledger.store.revisions`
runs them. There is no way down: the way back is the backup that was taken before. docs/upgrading.md says how to write one.
"""
