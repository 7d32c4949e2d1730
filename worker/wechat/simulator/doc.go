// Package simulator is a strict WeChat for tests, the dev command and
// benchmarks: an http.Handler that answers as api.weixin.qq.com is known to
// answer and refuses what it is known to refuse.
//
// It owns the server side of the calls that wxnotify makes (both token
// endpoints, subscribe/send, jscode2session, gettemplate, quota/get), pushes
// the later events to a callback URL, can be told to fail in every way a
// network and WeChat fail, and keeps the truth: what it received and what it
// accepted, to be compared with what a store claims. Where WeChat's behaviour
// is not known it takes the stricter reading and the comment says so.
//
// It imports nothing of the program it stands against: a fake that shared the
// client's tables would share the client's errors. A test holds its wordings
// and the errcode table of package wechat against each other.
//
// The scripting API of [Simulator] is also served under /_sim/. That path has
// no authentication, shows openids and message texts, and can stop every call:
// bind the listener to loopback or a private network.
package simulator
