package gateway

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What led to a binding, a label.
const (
	viaLogin = "login"
	viaPut   = "put"
)

// peopleMetrics counts what happens to users.
type peopleMetrics struct {
	bindings      *prometheus.CounterVec
	refusedLogins *prometheus.CounterVec
	reports       *prometheus.CounterVec
	tokens        prometheus.Counter
}

func newPeopleMetrics(reg prometheus.Registerer) (peopleMetrics, error) {
	m := peopleMetrics{
		bindings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_gateway_bindings_total",
			Help: "Bindings by logins and by back ends; moved: the openid belonged to another user.",
		}, []string{"via", "result"}),
		refusedLogins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_gateway_logins_refused_total",
			Help: "Logins that led to no binding, by the code of the answer.",
		}, []string{"code"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_gateway_consent_reports_total",
			Help: "Reports of consents; duplicate: it had come before.",
		}, []string{"result"}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wxnotify_gateway_tokens_handed_out_total",
			Help: "Access tokens given to other services.",
		}),
	}
	for _, via := range []string{viaLogin, viaPut} {
		for _, result := range boundResults {
			m.bindings.WithLabelValues(via, result)
		}
	}
	for _, code := range []Code{CodeCodeInvalid, CodeCodeUsed, CodeCodeBlocked, CodeWeChatThrottled, CodeLoginUnavailable} {
		m.refusedLogins.WithLabelValues(string(code))
	}
	for _, result := range []string{reportNew, reportDuplicate} {
		m.reports.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	err := errors.Join(reg.Register(m.bindings), reg.Register(m.refusedLogins), reg.Register(m.reports), reg.Register(m.tokens))
	if err != nil {
		return m, fmt.Errorf("gateway: register metrics: %w", err)
	}
	return m, nil
}
