"""What the product did before: slower ways to the same results, as baselines of ratios."""
