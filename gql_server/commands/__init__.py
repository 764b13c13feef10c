"""Commands that a user may give: permission, checks in order, then one submit. The caller owns the transaction."""
