"""The launcher: private PostgreSQL and Valkey, and the processes that run beside them."""
