"""Models of everything beyond single runs, each restricted to what its reader may see."""
