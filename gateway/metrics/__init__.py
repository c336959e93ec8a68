"""What Prometheus is told: the controller's report in its form. Nothing is counted here."""
