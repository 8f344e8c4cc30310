"""The adapter for GNU Health: `OPTIONS` and `make`."""

from his.gnuhealth.adapter import GnuHealthAdapter
from his.gnuhealth.options import GnuHealthOptions

OPTIONS = GnuHealthOptions
make = GnuHealthAdapter
