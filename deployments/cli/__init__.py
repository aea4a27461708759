"""The command `housing`: starts flows and administers. It holds no pipeline of its own."""
