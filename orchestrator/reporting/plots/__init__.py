"""Draw figures as SVG and PNG. matplotlib comes with the extra `plot`."""
