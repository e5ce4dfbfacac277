"""What the suites share: studies on disk, finished results, code in a process of its own."""
