"""Migrations of hospital.db, run in numeric order by playhouse.migrations; once landed, never edited."""
