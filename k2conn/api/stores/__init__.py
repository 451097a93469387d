"""What can answer questions about records, one file each; see `k2conn.api.store`."""
