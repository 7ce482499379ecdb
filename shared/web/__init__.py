"""What all HTTP endpoints share: requests and replies, who calls, problem documents."""
