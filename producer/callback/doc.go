// Package callback receives WeChat's message push: it checks that a push is
// WeChat's, keeps it, answers, and works afterwards.
//
//	https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
//
// A push is answered with success when the events in it are on record in the
// store's inbox, so that none is lost when the process dies in the next moment;
// while the store is away the answer is 503, and WeChat sends it again (three
// times, five seconds apart). Loops beside the handler then apply what is in the
// inbox, in any process: receipts (subscribe_msg_sent_event) and consents
// (subscribe_msg_popup_event, subscribe_msg_change_event) go to the store, which
// takes each once; other events are passed on to the URL that the app names, or
// dropped. Everything may be done twice without harm.
//
// It owns signatures, decryption, the shapes that events come in, and what
// makes two pushes one. It leaves to the store what an event means for a
// notification or a balance, to the caller the listener with its timeouts, and
// to nobody the passive reply: WeChat's customer messages are answered with
// success only.
//
// To run it, mount the Handler under Pattern of an http.ServeMux, for GET and
// POST, and call Start before the listener accepts and Stop after it was shut
// down, before the store is closed:
//
//	h, err := callback.New(callback.Config{Apps: apps, Store: store, Logger: logger, Registerer: reg})
//	mux.Handle(callback.Pattern, h)
//	err = h.Start(ctx)
//	…
//	err = h.Stop(ctx)
//
// Several processes may receive pushes of the same apps on one store.
package callback
