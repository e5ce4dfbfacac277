"""`phenoloom forecast`: what studies would cost, before anything runs."""
