"""Parcels through EasyPost, by its official library: https://docs.easypost.com"""
