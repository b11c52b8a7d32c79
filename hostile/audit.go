package hostile

// auditCases write what others seem to have done.
func auditCases() []Case {
	return atHome("audit",
		homeRow{"events", "create", "", "events", "writes what others are read to have done"},
		homeRow{"new-events", "create", "events.k8s.io", "events", "writes what others are read to have done"})
}
