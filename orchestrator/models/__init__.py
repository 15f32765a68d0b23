"""Write model files, and run the recipes that build models."""
