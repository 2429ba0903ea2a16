"""AWS, through its own SDK (the extra `aws`): a bucket of S3 as a place for the ledger's archives and checkpoints."""
