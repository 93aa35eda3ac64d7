package outbox

// Step is a place between two steps of a write, at which the process may be killed.
type Step string

// Steps lists them in order. Tests kill the gateway at each.
var Steps = []Step{BeforeEndorsing, AfterEndorsing, AfterStoring, AfterSending, AfterOutcome, AfterRecording}

// The places.
const (
	BeforeEndorsing Step = "before-endorsing"
	AfterEndorsing  Step = "after-endorsing" // signed, and nowhere but in memory
	AfterStoring    Step = "after-storing"   // on disk, not sent
	AfterSending    Step = "after-sending"   // ordered, outcome not known
	AfterOutcome    Step = "after-outcome"   // known, not on disk
	AfterRecording  Step = "after-recording" // on disk, the caller not answered
)
