package exchange

// ReleaseID is the id under which a holder records a release that was asked for by [Client.Fetch].
func ReleaseID(id, msp string) string { return releaseID(id, msp) }
