"""What the commands do; loaded only when one runs, because the libraries under it are slow to load."""
