"""The stores on DynamoDB, through PynamoDB. Every write that matters is conditional."""
