"""What work is about and who started it: modules, entry types, units, actors."""
