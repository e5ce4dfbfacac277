"""What any program needs: errors, atomic files, progress, bounded parallel work. Knows nothing of studies."""
