// Package app puts the program together: it wires stores, queue, worker and
// HTTP listeners from one checked configuration, starts them in order and stops
// them in the opposite order, and serves health and metrics. It handles no signals
// and, but for OpenTelemetry's standard variables in OpenTraces, reads no
// environment, so that tests run it on spare ports; what the parts do is theirs. The tests here are the end-to-end tests of every
// flow, and the test of who may import whom.
package app
