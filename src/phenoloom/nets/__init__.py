"""Networks in plain torch, one idea a file; they know neither files nor objectives."""
