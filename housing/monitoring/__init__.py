"""What is watched between two nights: inputs, answers, live errors, age; pure, of tables."""
