"""Write model files, and run the recipes of models."""
