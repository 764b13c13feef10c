"""A ledger of data-ingestion pipelines, the workers that run them, and one live graph over both."""
