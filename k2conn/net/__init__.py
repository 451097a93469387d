"""The network as all doors of k2conn use it: one HTTP client, one way to make TLS contexts."""
