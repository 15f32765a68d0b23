"""Compare the outputs of two variants: metrics of agreement, a file each. Store and analysis both ask here."""
