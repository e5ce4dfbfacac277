"""Pictures of the report: SVG charts and tiles."""
