"""Everything between the network and the schema."""
