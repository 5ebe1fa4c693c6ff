"""Payments through Stripe, by its official library. Cards only, by the ids of payment methods (`pm_...`)."""
