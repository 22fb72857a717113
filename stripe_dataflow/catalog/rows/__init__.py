"""The catalog's rows, by the part of Stripe they come from."""
