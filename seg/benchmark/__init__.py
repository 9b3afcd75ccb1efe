"""What measures speed: parts, machine, cost, and a plain baseline. Nothing else imports it."""
