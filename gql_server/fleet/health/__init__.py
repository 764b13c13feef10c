"""One-look state of the installation."""
