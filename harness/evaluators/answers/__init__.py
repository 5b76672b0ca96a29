"""The answers of finished runs, and what a metric of somebody else's says of them."""
