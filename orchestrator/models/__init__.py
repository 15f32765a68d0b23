"""Read, describe and write model files, and run the recipes of models."""
