"""Send Inforiver's report mail through Microsoft 365."""
