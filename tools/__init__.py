"""Tools of the people who make the course; learners do not need them."""
