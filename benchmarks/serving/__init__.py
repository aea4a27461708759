"""What serving and monitoring are worth, beside what a user would write without them."""
