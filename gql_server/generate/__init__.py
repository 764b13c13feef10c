"""A made-up ledger of any size, in the shapes and proportions that real ones have: something to measure and to look at."""
