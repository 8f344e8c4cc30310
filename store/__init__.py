"""hospital.db: the store behind `store.port` (peewee, migrations)."""
