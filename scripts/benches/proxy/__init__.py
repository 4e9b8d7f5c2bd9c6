"""Benches of the data plane: the real Envoy and the real agent on loopback, everything else played."""
