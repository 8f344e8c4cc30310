"""A HIS that shows database views and offers procedures: PostgreSQL, MariaDB, MySQL."""

from his.views.adapter import ViewsAdapter, ViewsOptions

__all__ = ["OPTIONS", "ViewsAdapter", "ViewsOptions", "make"]

OPTIONS = ViewsOptions
make = ViewsAdapter
