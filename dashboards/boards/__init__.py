"""Draw Grafana boards for a lab on PostgreSQL."""
