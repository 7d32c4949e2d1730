// Package wechat is the one package that talks to WeChat's server API. It owns
// the calls (subscribe/send, both token endpoints, jscode2session,
// gettemplate), what each answer means (the errcode table), and the shared
// access token of each app. It leaves the reaction to an answer to package
// worker, and where a token is shared to store/tokencache.
//
// The token travels in the URL, so no error of this package carries a URL, and
// no error carries an openid, a secret or message text.
package wechat
