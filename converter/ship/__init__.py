"""The bundle: written whole or not at all, and checked again wherever it goes."""
