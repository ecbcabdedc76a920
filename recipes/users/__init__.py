"""Who somebody is: users, their login methods, and the tables of both."""
