"""Events -> what is known of each user and item at a cut, and each user's sequence."""
