"""What a person looks at after a search, and the choice of a student."""
