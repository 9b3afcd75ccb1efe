"""Trained models side by side on the same samples. Nothing else imports it."""
