"""The checks of `mdm verify`, each over one part of the store."""
