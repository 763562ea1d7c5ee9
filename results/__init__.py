"""What came out: records, errors and files written whole; tables and pages on top of them."""
