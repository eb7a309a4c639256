"""A fleet in small: boards as processes with roots of their own, a static host, a broker and Prometheus."""
