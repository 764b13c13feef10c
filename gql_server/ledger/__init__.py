"""Rules of the ledger and their SQL, each stated once."""
