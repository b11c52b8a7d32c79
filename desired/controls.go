package desired

const ControlPodSecurity = "pod-security"

func waivable(string) bool { return true }
