"""Classes and fingerprints of failures."""
