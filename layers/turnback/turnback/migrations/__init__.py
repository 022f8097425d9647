"""What there is to run: files, headers, checksums, the artifact."""
