"""Read for pages: few statements for a page, and none that looks at every measurement."""
