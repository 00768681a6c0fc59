"""Videos to stills; pictures pass through."""
