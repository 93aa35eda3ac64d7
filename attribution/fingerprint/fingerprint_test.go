package fingerprint_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/fingerprint"
)

func TestAFingerprintIsTheHMACOfTheCanonicalTokens(t *testing.T) {
	secret := fingerprint.Secret{1, 2, 3}
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("the\nrose\nبشنو\n"))
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), secret.Of([][]byte{[]byte("The ROSE, بشنو!")}))
}

func TestWhatMakesADifferenceToAFingerprint(t *testing.T) {
	secret := fingerprint.Secret{7}
	of := func(records ...string) string {
		var list [][]byte
		for _, r := range records {
			list = append(list, []byte(r))
		}
		return secret.Of(list)
	}
	text := of("بشنو این نی چون شکایت می‌کند")
	require.Equal(t, text, of("بشنو اين ني چون شكايت مي‌كند."), "other forms of the letters")
	require.Equal(t, text, of("بشنو این نی", "چون شکایت می‌کند"), "another division into records")
	require.NotEqual(t, text, of("بشنو این نی چون حکایت می‌کند"), "another word")
	require.NotEqual(t, text, of("چون شکایت می‌کند", "بشنو این نی"), "another order")
	require.NotEqual(t, of("ab c"), of("a bc"), "other borders of tokens")
	other := fingerprint.Secret{8}
	require.NotEqual(t, text, other.Of([][]byte{[]byte("بشنو این نی چون شکایت می‌کند")}), "another secret")
	require.NotEqual(t, secret.Check(), other.Check())
}
