package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// newCallbackRig makes one with a worker and a gateway that takes pushes in
// every mode. callback is where WeChat pushes to, in the plaintext mode.
func newCallbackRig(t *testing.T) (r *rig, callback simulator.Callback) {
	t.Helper()
	r = newRig(t, simulator.Config{}, map[string]string{
		"API_KEYS": "approval:" + strings.Repeat("k", 32), "LISTEN_ADDR": "127.0.0.1:0",
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": callbackAESKey, "WECHAT_CALLBACK_PLAINTEXT": "true",
		// Longer than the test: nothing but a receipt ends a doubt.
		"IN_DOUBT_WAIT": "10m",
	})
	g := r.startGateway()
	r.start()
	return r, simulator.Callback{URL: "http://" + g.CallbackAddr + "/wechat/callback/" + r.app.AppID, Token: "token1", Popups: true}
}

const callbackAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

// TestReceipts: WeChat's receipts come to the notifications they are about,
// however they are pushed.
func TestReceipts(t *testing.T) {
	t.Parallel()
	r, plain := newCallbackRig(t)
	encrypted, encryptedXML, plainXML := plain, plain, plain
	encrypted.AESKey, encryptedXML.AESKey = callbackAESKey, callbackAESKey
	encryptedXML.XML, plainXML.XML = true, true
	var all []sent
	for name, c := range map[string]simulator.Callback{
		"plain, JSON": plain, "plain, XML": plainXML, "encrypted, JSON": encrypted, "encrypted, XML": encryptedXML,
	} {
		if err := r.sim.SetCallback("", c); err != nil {
			t.Fatal(err)
		}
		list := r.send(20, nil)
		all = append(all, list...)
		r.awaitReceipts(name, list, store.ReceiptOK)

		// What WeChat could not deliver is sent all the same: it had accepted it.
		r.fault(simulator.Fault{API: simulator.APIEvent, Action: simulator.ActErrcode, Errcode: 43, Errmsg: "system failed", Count: 3})
		list = r.send(3, nil)
		all = append(all, list...)
		r.awaitReceipts(name, list, store.ReceiptFailed)

		// The user's answers count.
		openID := simulator.OpenID(uuid.NewString())
		if err := r.sim.Accept("", openID, simulator.SeedApproval, 2); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": the user's answer", func() error {
			consents, err := r.store.Consents(t.Context(), r.app.AppID, openID)
			if err != nil {
				return err
			}
			if len(consents) != 1 || consents[0].TemplateID != simulator.SeedApproval || consents[0].Balance < 1 {
				return fmt.Errorf("%d consents", len(consents))
			}
			return nil
		})
	}
	r.wantOnce(all)

	// What the gateway's catalog says of a template is known of its consents.
	eventually(t, "a long-term consent", func() error {
		openID := simulator.OpenID(uuid.NewString())
		if err := r.sim.Accept("", openID, simulator.SeedReport, 1); err != nil {
			return err
		}
		r.awaitSim("the push", func(s simulator.State) bool { return s.Events.Pending == 0 })
		var consents []store.Consent
		eventually(t, "the consent", func() (err error) {
			if consents, err = r.store.Consents(t.Context(), r.app.AppID, openID); err == nil && len(consents) == 0 {
				err = errors.New("not yet")
			}
			return err
		})
		if !consents[0].LongTerm {
			return errors.New("not long-term; the catalog may not be synced yet")
		}
		return nil
	})
	r.awaitSim("every push is acknowledged", func(s simulator.State) bool { return s.Events.Pending == 0 })
	if e := r.sim.State().Events; e.Failed > 0 {
		t.Errorf("%d of %d pushes were not acknowledged", e.Failed, e.Failed+e.Pushed)
	}
}

// TestReceiptsSettleDoubts: what WeChat accepted before the connection broke is
// known as sent when its receipt comes, and nothing is sent twice, although the
// policy would allow it.
func TestReceiptsSettleDoubts(t *testing.T) {
	t.Parallel()
	const doubts = 40
	r, callback := newCallbackRig(t)
	callback.AESKey = callbackAESKey
	if err := r.sim.SetCallback("", callback); err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActDrop, After: true, Count: doubts})
	list := r.send(doubts+10, func(_ int, n *producer.Notification) { n.Duplicates = store.DuplicatesAllow })
	r.awaitReceipts("sent", list, store.ReceiptOK)
	inDoubt := 0
	for _, s := range list {
		n, attempts := r.get(s.id)
		if tally := r.sim.Tally("", s.openID, simulator.SeedReport); tally != (simulator.Tally{Received: 1, Accepted: 1}) {
			t.Errorf("%s: received %d, accepted %d", s.id, tally.Received, tally.Accepted)
		}
		if len(attempts) != 1 || n.MsgID == 0 || attempts[0].MsgID != n.MsgID || n.Assumed {
			t.Errorf("%s: msgid %d, attempts %+v", s.id, n.MsgID, attempts)
			continue
		}
		if attempts[0].Outcome == store.OutcomeInDoubt {
			inDoubt++
		}
	}
	if inDoubt != doubts {
		t.Errorf("%d were in doubt, want %d", inDoubt, doubts)
	}
}

// awaitReceipts waits until all of these are sent with this receipt.
func (r *rig) awaitReceipts(what string, list []sent, want store.Receipt) {
	r.t.Helper()
	eventually(r.t, what, func() error {
		for _, s := range list {
			n, _ := r.get(s.id)
			if n.State != store.Sent || n.Receipt != want {
				return fmt.Errorf("%s: %s, receipt %s", s.id, n.State, n.Receipt)
			}
		}
		return nil
	})
}
