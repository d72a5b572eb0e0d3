"""What people hold in their hands: books, runs, loops."""
