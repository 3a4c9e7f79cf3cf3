"""The officers' verifier: one file of standard-library Python, also shipped inside each package."""
