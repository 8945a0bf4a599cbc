"""What can go wrong with a database.

StoreError              the database did not do what was asked
└── NewerDatabase       a newer version of Nearedge has changed its schema
"""


class StoreError(Exception):
    """The database did not do what was asked; the message says why."""


class NewerDatabase(StoreError):
    """A newer version of Nearedge has changed the schema; this one must not touch it."""
