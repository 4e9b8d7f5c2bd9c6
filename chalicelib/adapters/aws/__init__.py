"""AWS behind the ports. No client is made before its first use."""
