// Package storetest is the one conformance suite of the stores. What it asks of
// a store is what package store promises; what only one of them can do (two
// pools on one database) is asked by RunPair.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Store is everything a store does. It exists for this suite only: a package
// that uses a store declares the few methods it calls.
type Store interface { //nolint:interfacebloat // the union of what all users declare
	Close()
	Ping(ctx context.Context) error
	Migrate(ctx context.Context, progress func(string)) error
	MigrateDown(ctx context.Context) error
	Version(ctx context.Context) (have, want int64, err error)

	Insert(ctx context.Context, acceptances []store.Acceptance) ([]store.Inserted, error)
	Adopt(ctx context.Context, a store.Acceptance) (store.Look, error)
	Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error)
	Commit(ctx context.Context, batch store.Batch) (store.Results, error)
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	List(ctx context.Context, f store.Filter) ([]store.Notification, error)
	CountByState(ctx context.Context, app string) (map[store.State]int, error)

	Count(ctx context.Context, f store.Filter, by store.Group) ([]store.Counted, error)
	Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error)
	Discard(ctx context.Context, discards []store.Discard) ([]store.Acted, error)
	SettleDoubts(ctx context.Context, settlements []store.DoubtSettlement) ([]store.Acted, error)
	Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error)
	Cancel(ctx context.Context, cancels []store.Cancel) ([]store.Acted, error)
	ClaimRequest(ctx context.Context, c store.RequestClaim) (store.RequestClaimed, error)
	EndRequest(ctx context.Context, e store.RequestEnd) error

	Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error)
	Resolve(ctx context.Context, app, userID string) (store.Binding, error)
	Bindings(ctx context.Context, userID string) ([]store.Binding, error)
	PausedTemplates(ctx context.Context, app string) ([]store.TemplatePause, error)
	ResumeTemplate(ctx context.Context, app, templateID string) (released int, err error)
	Templates(ctx context.Context, app string) ([]store.Template, error)
	TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error)
	BeginTemplateSync(ctx context.Context, app string, next time.Duration, forced bool) (began time.Time, ok bool, err error)
	FailTemplateSync(ctx context.Context, app string, errcode int, problem string, next time.Duration) error
	SaveTemplates(ctx context.Context, list store.TemplateList) (store.TemplatesSynced, error)

	RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error)
	Consents(ctx context.Context, app, openID string) ([]store.Consent, error)
	WaitingFor(ctx context.Context, app, userID, openID string) (map[string]int, error)
	WakeWaiting(ctx context.Context, after uuid.UUID, grace time.Duration, limit int) (next uuid.UUID, seen, woken int, err error)
	DeleteConsentEvents(ctx context.Context, age time.Duration, limit int) (int, error)

	Lead(ctx context.Context) (ok bool, release func(), err error)
	StillLeading(ctx context.Context) error
	ExpireLeases(ctx context.Context, wait time.Duration, limit int) (int, error)
	ResolveDoubts(ctx context.Context, limit int) (requeued, dead int, err error)
	ExpireOverdue(ctx context.Context, limit int) (int, error)
	Handovers(ctx context.Context, limit int) ([]store.Handover, error)
	Unqueued(ctx context.Context, limit int) ([]store.Handover, error)
	HandedOver(ctx context.Context, handovers []store.Handover) error
	RequeueOpen(ctx context.Context, after uuid.UUID, limit int) (next uuid.UUID, n int, err error)
	OnQueue(ctx context.Context, after uuid.UUID, limit int) ([]store.OnQueue, error)
	Requeue(ctx context.Context, list []store.OnQueue) (n int, err error)
	Mark(ctx context.Context) (store.Mark, error)
	SetMark(ctx context.Context, m store.Mark) error
	Pushed(ctx context.Context, app string) error
	LastPushes(ctx context.Context) (map[string]time.Time, error)

	TakeWebhooks(ctx context.Context, producer string, lease time.Duration, limit int) ([]store.WebhookDelivery, error)
	SettleWebhooks(ctx context.Context, results []store.WebhookResult) error
	DeleteWebhooks(ctx context.Context, age time.Duration, limit int) (int, error)

	RecordReceipts(ctx context.Context, events []store.ReceiptEvent) ([]store.Receipted, error)
	ReviewReceipts(ctx context.Context, limit int) (n int, found []store.Receipted, err error)
	Receipts(ctx context.Context, id uuid.UUID) ([]store.ReceiptRecord, error)
	ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error)
	TakePushes(ctx context.Context, kind store.PushKind, lease time.Duration, limit int) ([]store.Push, error)
	FinishPushes(ctx context.Context, keys []store.PushKey) error

	DeleteReceipts(ctx context.Context, age time.Duration, limit int) (int, error)
	DeletePushes(ctx context.Context, age time.Duration, limit int) (int, error)
	BlankData(ctx context.Context, age time.Duration, limit int) (int, error)
	DeleteFinished(ctx context.Context, age time.Duration, limit int) (int, error)
	DeleteDead(ctx context.Context, age time.Duration, limit int) (int, error)
	DeleteRequests(ctx context.Context, age time.Duration, limit int) (int, error)

	Addresses(ctx context.Context, userID string, apps []string) ([]store.Address, error)
	BeginErasure(ctx context.Context, e store.Erasure) (store.ErasureBegun, error)
	EraseRows(ctx context.Context, ids []uuid.UUID) ([]store.ErasedRow, error)
	Erasures(ctx context.Context, after uuid.UUID, limit int) ([]store.Erasing, error)
	EndErasures(ctx context.Context, ids []uuid.UUID) error

	RecordAudit(ctx context.Context, e store.AuditEntry) error
	Audit(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error)
	BeginSession(ctx context.Context, c store.ConsoleSession, life time.Duration) error
	Session(ctx context.Context, key [32]byte, rule store.SessionRule) (store.ConsoleSession, error)
	EndSession(ctx context.Context, key [32]byte) error
	Overview(ctx context.Context) (store.Overview, error)
	Outcomes(ctx context.Context, d time.Duration) ([]store.Outcome, error)
	Balances(ctx context.Context) ([]store.Balance, error)
}

// Run holds a store to its contract. open returns an empty, migrated store that
// no other test uses, and closes it when its test ends.
func Run(t *testing.T, open func(t testing.TB) Store) {
	t.Helper()
	for name, test := range map[string]func(*fixture){
		"insert and get":                testInsertAndGet,
		"insert fills in times":         testInsertTimes,
		"insert repeats and duplicates": testInsertRepeats,
		"insert refuses":                testInsertRefuses,
		"insert a thousand":             testInsertThousand,
		"adopt":                         testAdopt,
		"look":                          testLook,
		"list":                          testList,
		"list pages":                    testListPages,
		"list filters":                  testListFilters,
		"count by state":                testCountByState,
		"claim":                         testClaim,
		"claim refused":                 testClaimRefused,
		"claim repeated":                testClaimRepeated,
		"claim race":                    testClaimRace,
		"batch is checked":              testBatchChecked,
		"batch of everything":           testBatchOfEverything,
		"settle":                        testSettle,
		"settle repeated":               testSettleRepeated,
		"settle fenced":                 testSettleFenced,
		"settle into doubt":             testSettleIntoDoubt,
		"settle late":                   testSettleLate,
		"settle late counts no doubt":   testSettleLateDoubts,
		"settle refused value":          testSettleRefusedValue,
		"settle suspects the binding":   testSettleSuspect,
		"settle pauses the template":    testSettlePausesTemplate,
		"release":                       testRelease,
		"move":                          testMove,
		"move refused":                  testMoveRefused,
		"move repeated":                 testMoveRepeated,
		"replay":                        testReplay,
		"replay dead":                   testReplayDead,
		"replay guards":                 testReplayGuards,
		"replay priority":               testReplayPriority,
		"replay content":                testReplayContent,
		"replay race":                   testReplayRace,
		"discard":                       testDiscard,
		"settle doubts":                 testSettleDoubts,
		"cancel":                        testCancel,
		"request":                       testRequest,
		"request taken over":            testRequestTakenOver,
		"request forgotten":             testRequestForgotten,
		"request race":                  testRequestRace,
		"count":                         testCount,
		"lease over":                    testLeaseOver,
		"doubt resolved":                testDoubtResolved,
		"doubt waits for pushes":        testDoubtWaitsForPushes,
		"overdue":                       testOverdue,
		"put off":                       testPutOff,
		"reasons":                       testReasons,
		"handovers":                     testHandovers,
		"unqueued":                      testUnqueued,
		"handed over":                   testHandedOver,
		"handed over too late":          testHandedOverTooLate,
		"requeue open":                  testRequeueOpen,
		"on queue":                      testOnQueue,
		"requeue":                       testRequeue,
		"requeue too late":              testRequeueTooLate,
		"mark":                          testMark,
		"webhook events":                testWebhookEvents,
		"webhook replay":                testWebhookReplay,
		"webhook tries":                 testWebhookTries,
		"bind":                          testBind,
		"bind moves":                    testBindMoves,
		"bind contradictions":           testBindContradictions,
		"bind wakes":                    testBindWakes,
		"bind many":                     testBindMany,
		"consents":                      testConsents,
		"consents refused":              testConsentsRefused,
		"consent spent":                 testConsentSpent,
		"consent receipt":               testConsentReceipt,
		"consent balances":              testBalances,
		"consent policies":              testConsentPolicies,
		"refused after doubt":           testRefusedAfterDoubt,
		"consent releases":              testConsentReleases,
		"wait guards":                   testWaitGuards,
		"wait deadline":                 testWaitDeadline,
		"bind and consents":             testBindConsents,
		"waiting for":                   testWaitingFor,
		"wake waiting":                  testWakeWaiting,
		"consent truth":                 testConsentTruth,
		"wait race":                     testWaitRace,
		"life":                          testLife,
		"migrate":                       testMigrate,
		"schema missing":                testSchemaMissing,
		"closed":                        testClosed,
		"leads":                         testLeads,
		"blank":                         testBlank,
		"delete finished":               testDeleteFinished,
		"delete dead":                   testDeleteDead,
		"retention leaves":              testRetentionLeaves,
		"replay blanked":                testReplayBlanked,
		"ref after delete":              testRefAfterDelete,
		"receipt":                       testReceipt,
		"receipt early":                 testReceiptEarly,
		"receipt settles":               testReceiptSettles,
		"receipt delivered":             testReceiptDelivered,
		"receipt does not fit":          testReceiptDoesNotFit,
		"receipt once":                  testReceiptOnce,
		"receipt waits":                 testReceiptWaits,
		"receipt review":                testReceiptReview,
		"receipts deleted":              testReceiptsDeleted,
		"receipts checked":              testReceiptsChecked,
		"inbox":                         testInbox,
		"inbox lease":                   testInboxLease,
		"inbox checked":                 testInboxChecked,
		"erase open":                    testEraseOpen,
		"erase ended":                   testEraseEnded,
		"erase sending":                 testEraseSending,
		"erase expired":                 testEraseExpired,
		"erase in an app":               testEraseScope,
		"erase addresses":               testEraseAddresses,
		"erase unread payloads":         testEraseUnread,
		"erase after a move":            testEraseMoved,
		"erase forgets":                 testEraseForgets,
		"erase strays":                  testEraseStrays,
		"erase is checked":              testEraseChecked,
		"erase keeps the ref":           testEraseRef,
		"erasures":                      testErasures,
		"templates":                     testTemplates,
		"templates refused":             testTemplatesRefused,
		"template is long-term":         testLearnLongTerm,
		"template syncs":                testTemplateSyncs,
		"template sync resumes":         testTemplateSyncResumes,
		"audit":                         testAudit,
		"audit pages":                   testAuditPages,
		"audit is checked":              testAuditChecked,
		"sessions":                      testSessions,
		"overview":                      testOverview,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newFixture(t, open(t)))
		})
	}
}

// RunPair holds two stores on one database, as of two processes, to what they
// promise each other. open returns them on an empty, migrated schema.
func RunPair(t *testing.T, open func(t testing.TB) (a, b Store)) {
	t.Helper()
	for name, test := range map[string]func(a, b *fixture){
		"claim race":          testPairClaimRace,
		"wait race":           testPairWaitRace,
		"no deadlock":         testPairNoDeadlock,
		"leader":              testPairLeader,
		"bind race":           testPairBindRace,
		"leases are shared":   testPairLeases,
		"migrate at once":     testPairMigrate,
		"insert the same ref": testPairInsertRef,
		"replay race":         testPairReplayRace,
		"receipts":            testPairReceipts,
		"inbox":               testPairInbox,
		"request race":        testPairRequestRace,
		"erase race":          testPairErase,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(newFixture(t, a), newFixture(t, b))
		})
	}
}
