"""What is asked: pages, claims with their rules, models and tasks, each read from YAML."""
