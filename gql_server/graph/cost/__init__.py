"""Cost of an operation, said before it is executed: weights and list sizes as in IBM's GraphQL cost directives."""
