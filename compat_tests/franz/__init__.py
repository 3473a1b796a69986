"""franz-go, the Go client that speaks the newest versions of everything. Its program is in `../go/franz`."""
