"""What a user may ask of the ledger: permission, checks in order, then one submit. The caller owns the transaction."""
