"""Why a pipeline or a job is in its state: what a client sees, the rules, and the SQL of their facts."""
