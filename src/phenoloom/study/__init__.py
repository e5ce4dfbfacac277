"""Which images a study has: files, sheet, index, annotations, and a simulated study."""
