package use_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"math"
	"math/big"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
)

var exampleRow = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([0-9a-f]+)` \\|$")

// examples are the bytes that docs/usage.md gives.
func examples(t testing.TB) map[string][]byte {
	page, err := os.ReadFile("../../docs/usage.md")
	require.NoError(t, err)
	all := map[string][]byte{}
	for _, row := range exampleRow.FindAllStringSubmatch(string(page), -1) {
		all[row[1]], err = hex.DecodeString(row[2])
		require.NoError(t, err, row[1])
	}
	return all
}

func repeated(b byte) (h merkle.Hash) {
	for i := range h {
		h[i] = b
	}
	return h
}

func TestTheFormsAreThoseOfThePage(t *testing.T) {
	page := examples(t)
	seen := 0
	equal := func(name string, bytes []byte, err error) {
		t.Helper()
		require.NoError(t, err, name)
		require.Contains(t, page, name)
		require.Equal(t, hex.EncodeToString(page[name]), hex.EncodeToString(bytes), name)
		seen++
	}
	seed := repeated(0x11)
	private := ed25519.NewKeyFromSeed(seed[:])
	key, err := use.NewKey(private.Public())
	equal("ed25519 key", key.Public, err)
	terms := use.Terms{Account: "AILabMSP:reader1", Host: "NationalLibraryMSP:host1", Card: repeated(0xcc), Key: key, Window: 4,
		Expires: 1_900_000_000, Grace: 24, Disclosure: use.DiscloseSample, Escrow: 1_000_000}
	for i := range terms.Name {
		terms.Name[i] = byte(i)
	}
	encoded, err := terms.Encode("datanet")
	equal("terms", encoded, err)
	sid, err := terms.Session("datanet")
	equal("sid", sid[:], err)
	request := use.Request{Number: 7, Cap: 50_000, Body: repeated(0xbb)}
	encoded, err = request.Encode()
	equal("request", encoded, err)
	asked, err := request.Digest()
	equal("request digest", asked[:], err)
	fee, err := use.Fee(12, 34, 1_000_000, 5_000_000)
	require.NoError(t, err)
	leaf := use.Leaf{Session: sid, Number: 7, Card: repeated(0xcc), In: 12, Out: 34, Fee: fee, Receipt: repeated(0xee)}
	encoded, err = leaf.Encode()
	equal("leaf", encoded, err)
	hash, err := leaf.Hash()
	equal("leaf hash", hash[:], err)
	voucher := use.Voucher{Session: sid, Card: repeated(0xcc), N: 1, Amount: fee, Root: hash, Request: asked}
	encoded, err = voucher.Encode()
	equal("voucher", encoded, err)
	require.Len(t, encoded, use.VoucherSize)
	signature, err := use.Sign(private, voucher)
	equal("ed25519 signature", signature, err)
	scalar, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	require.NoError(t, err)
	p256, err := use.NewKey(scalar.Public())
	equal("p256 key", p256.Public, err)
	require.NoError(t, p256.Verify(voucher, page["p256 signature"]))
	seen++
	moves := []use.Move{{Session: sid, Before: use.Mark{Root: merkle.Root(nil)}, After: use.Mark{N: 1, Amount: fee, Root: hash}}}
	encoded, err = use.EncodeScope(repeated(0xcc), moves)
	equal("scope", encoded, err)
	scope, err := use.Scope(repeated(0xcc), moves)
	equal("scope digest", scope[:], err)
	payments := []payout.Payment{{Payee: "AILabMSP:carla", Amount: 100_000}, {Payee: payout.Pool("PoetrySocietyMSP/persian-poetry"), Amount: 9_200}}
	pages, err := payout.Pages(payments)
	require.NoError(t, err)
	encoded, err = pages[0].Encode()
	equal("page", encoded, err)
	table, err := payout.Table(payments)
	equal("table digest", table[:], err)
	secret := use.Secret(repeated(0x55))
	commitment := secret.Commitment()
	equal("commitment of the secret of 32 bytes 55", commitment[:], nil)
	card := use.CardDigest([]byte(`{"name":"AILabMSP/verse"}`))
	equal("card digest of `{\"name\":\"AILabMSP/verse\"}`", card[:], nil)
	require.Len(t, page, seen, "every example is compared")
	var drawn []uint64
	for place := range uint64(8) {
		if secret.Draws(250_000, scope, sid, place) {
			drawn = append(drawn, place)
		}
	}
	require.Equal(t, []uint64{6, 7}, drawn)
}

func drawHash(t *rapid.T, name string) merkle.Hash {
	return merkle.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
}

func TestFormsAreReadAsTheyAreWritten(t *testing.T) {
	amount := rapid.Uint64Max(use.MaxAmount)
	rapid.Check(t, func(t *rapid.T) {
		leaf := use.Leaf{Session: drawHash(t, "sid"), Number: rapid.Uint64().Draw(t, "q"), Card: drawHash(t, "card"), In: rapid.Uint64().Draw(t, "in"),
			Out: rapid.Uint64().Draw(t, "out"), Fee: amount.Draw(t, "fee"), Receipt: drawHash(t, "receipt")}
		encoded, err := leaf.Encode()
		require.NoError(t, err)
		again, err := use.DecodeLeaf(encoded)
		require.NoError(t, err)
		require.Equal(t, leaf, again)
		voucher := use.Voucher{Session: leaf.Session, Card: leaf.Card, N: leaf.Number, Amount: leaf.Fee, Root: leaf.Receipt, Request: drawHash(t, "request")}
		encoded, err = voucher.Encode()
		require.NoError(t, err)
		vouched, err := use.DecodeVoucher(encoded)
		require.NoError(t, err)
		require.Equal(t, voucher, vouched)
		cut := rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")
		_, err = use.DecodeVoucher(encoded[:cut])
		require.Error(t, err)
		_, err = use.DecodeVoucher(append(encoded, 0))
		require.Error(t, err)
		_, err = use.DecodeLeaf(encoded)
		require.Error(t, err, "a voucher is no leaf")
	})
}

func TestAFeeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(rapid.Uint64(), rapid.Uint64Max(1<<40), rapid.Uint64Max(2000))
		in, out, pin, pout := any.Draw(t, "in"), any.Draw(t, "out"), any.Draw(t, "price in"), any.Draw(t, "price out")
		product := func(a, b uint64) *big.Int {
			return new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		}
		exact := new(big.Int).Add(product(in, pin), product(out, pout))
		exact.Add(exact, big.NewInt(999)).Quo(exact, big.NewInt(1000))
		fee, err := use.Fee(in, out, pin, pout)
		if !exact.IsInt64() {
			require.ErrorIs(t, err, use.ErrFee)
			return
		}
		require.NoError(t, err)
		require.Equal(t, exact.Uint64(), fee)
	})
	_, err := use.Fee(math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64)
	require.ErrorIs(t, err, use.ErrFee)
}

func TestASignatureIsOfOneKeyAndOneVoucher(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	scalar, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	v := use.Voucher{N: 3, Amount: 10}
	more := v
	more.Amount++
	var keys []use.Key
	var signatures [][]byte
	for range 20 { // a high s comes up every second time
		signature, err := use.Sign(scalar, v)
		require.NoError(t, err)
		key, err := use.NewKey(scalar.Public())
		require.NoError(t, err)
		require.NoError(t, key.Verify(v, signature))
		high := append([]byte{}, signature...)
		s := new(big.Int).SetBytes(signature[32:])
		s.Sub(elliptic.P256().Params().N, s).FillBytes(high[32:])
		require.ErrorIs(t, key.Verify(v, high), use.ErrSignature, "the other form of the signature")
		keys, signatures = append(keys, key), append(signatures, signature)
	}
	key, err := use.NewKey(private.Public())
	require.NoError(t, err)
	signature, err := use.Sign(private, v)
	require.NoError(t, err)
	keys, signatures = append(keys[:1], key), append(signatures[:1], signature)
	for i, key := range keys {
		require.NoError(t, key.Verify(v, signatures[i]))
		require.ErrorIs(t, key.Verify(more, signatures[i]), use.ErrSignature)
		require.ErrorIs(t, key.Verify(v, signatures[1-i]), use.ErrSignature)
		require.ErrorIs(t, key.Verify(v, signatures[i][:63]), use.ErrSignature)
		require.ErrorIs(t, key.Verify(v, make([]byte, use.SignatureSize)), use.ErrSignature)
		text, err := key.MarshalText()
		require.NoError(t, err)
		var again use.Key
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, key, again)
	}
}

func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	for _, text := range []string{"", "ed25519", "ed25519:", "ed25519:" + hex.EncodeToString(make([]byte, 31)), "rsa:00",
		"p256:" + hex.EncodeToString(make([]byte, 65)), "p256:" + hex.EncodeToString(make([]byte, 33)),
		"ed25519:D04AB232742BB4AB3A1368BD4615E4E6D0224AB71A016BAF8520A332C9778737"} {
		var k use.Key
		require.Error(t, k.UnmarshalText([]byte(text)), text)
	}
	_, err := use.NewKey("a string")
	require.Error(t, err)
}

func TestAScopeIsTheSameInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var moves []use.Move
		for i := range rapid.IntRange(0, 6).Draw(t, "sessions") {
			before := use.Mark{N: rapid.Uint64Max(9).Draw(t, "n"), Amount: rapid.Uint64Max(99).Draw(t, "amount"), Root: drawHash(t, "before")}
			moves = append(moves, use.Move{Session: merkle.Hash{byte(i)}, Before: before,
				After: use.Mark{N: before.N + 1, Amount: before.Amount + rapid.Uint64Max(9).Draw(t, "fee"), Root: drawHash(t, "after")}})
		}
		scope, err := use.Scope(merkle.Hash{1}, moves)
		require.NoError(t, err)
		mixed, err := use.Scope(merkle.Hash{1}, rapid.Permutation(moves).Draw(t, "order"))
		require.NoError(t, err)
		require.Equal(t, scope, mixed)
		encoded, err := use.EncodeScope(merkle.Hash{1}, moves)
		require.NoError(t, err)
		card, again, err := use.DecodeScope(encoded)
		require.NoError(t, err)
		require.Equal(t, merkle.Hash{1}, card)
		require.Equal(t, moves, again)
	})
	_, err := use.Scope(merkle.Hash{}, []use.Move{{Before: use.Mark{N: 2}, After: use.Mark{N: 2}}})
	require.Error(t, err, "a settlement goes forward")
	twice := use.Move{After: use.Mark{N: 1}}
	_, err = use.Scope(merkle.Hash{}, []use.Move{twice, twice})
	require.Error(t, err, "a session stands once")
}

func TestASampleHasItsRate(t *testing.T) {
	secret, drawn := use.Secret{3}, 0
	for place := range uint64(100_000) {
		require.True(t, secret.Draws(use.All, merkle.Hash{}, merkle.Hash{}, place))
		require.False(t, secret.Draws(0, merkle.Hash{}, merkle.Hash{}, place))
		if secret.Draws(50_000, merkle.Hash{}, merkle.Hash{}, place) {
			drawn++
		}
	}
	require.InDelta(t, 5_000, drawn, 350, "five standard deviations")
}

// FuzzForms reads arbitrary bytes as every form: what is accepted is written again as it was.
func FuzzForms(f *testing.F) {
	page := examples(f)
	for _, name := range []string{"terms", "request", "leaf", "voucher", "scope", "page"} {
		f.Add(page[name])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		same := func(encoded []byte, err error) {
			require.NoError(t, err)
			require.Equal(t, data, encoded)
		}
		if leaf, err := use.DecodeLeaf(data); err == nil {
			same(leaf.Encode())
		}
		if voucher, err := use.DecodeVoucher(data); err == nil {
			same(voucher.Encode())
		}
		if request, err := use.DecodeRequest(data); err == nil {
			same(request.Encode())
		}
		if channel, terms, err := use.DecodeTerms(data); err == nil {
			same(terms.Encode(channel))
		}
		if card, moves, err := use.DecodeScope(data); err == nil {
			same(use.EncodeScope(card, moves))
		}
		var key use.Key
		if err := key.UnmarshalText(data); err == nil {
			same(key.MarshalText())
		}
	})
}
