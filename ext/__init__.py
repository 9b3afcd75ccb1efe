"""Thin adapters over external systems, one folder each; none of their source lives here."""
