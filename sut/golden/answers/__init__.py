"""What does the golden server send? What was asked, what is due when, with which failure."""
