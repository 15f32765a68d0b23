"""Turn YAML files into checked values, with file:line in every complaint."""
