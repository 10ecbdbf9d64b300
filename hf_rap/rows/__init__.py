"""What a user's dataset holds: sources, layouts, chats, images, and the files that rows are read from and written to."""
