"""Jobs: what a client sees of them, their SQL, and the allow-list of their JSON bag."""
