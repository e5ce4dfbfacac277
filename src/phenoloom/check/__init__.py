"""What would happen to a study if it ran: its files, images, labels and folds, by the code of the steps themselves."""
