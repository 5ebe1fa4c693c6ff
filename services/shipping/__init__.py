"""Parcels: shipments ordered from a carrier."""
