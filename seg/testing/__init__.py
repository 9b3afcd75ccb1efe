"""Help for tests and checks: goldens, tiny models, toy samples."""
