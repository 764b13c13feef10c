"""What keeps the installation going: workers, the locks between jobs, and its health."""
