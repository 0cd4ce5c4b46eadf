"""The program's own state on disk: receipts, stored runs, backups."""
