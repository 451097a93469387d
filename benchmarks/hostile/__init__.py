"""The attack soak: a venue that plays every kind of attack at random, beside two honest ones (see `soak`)."""
