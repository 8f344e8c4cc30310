"""Ground floor: errors, money, clock, ids, codes, events, config, privacy. No Flask, no database, no sockets."""
