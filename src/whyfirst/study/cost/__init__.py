"""What a study will cost, told before anything is spent."""
