"""AutoStop: pay for EC2 and RDS only while somebody uses them."""

__version__ = "0.1.0"
