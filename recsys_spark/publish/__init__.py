"""From a date's lists to the live ones: what must hold before they move, and how to move back."""
