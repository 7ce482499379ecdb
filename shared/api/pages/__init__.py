"""The pages of the consent."""
