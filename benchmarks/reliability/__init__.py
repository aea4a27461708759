"""What is promised of reliability, measured; the figures of soaks are kept here too."""
