"""The offices that keep the registries: whom each has on its roster, and how it writes its files."""
