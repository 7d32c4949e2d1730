package app

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The variables that decide whether there are traces. A variable that is empty
// is one that is not set.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envSampler        = "OTEL_TRACES_SAMPLER"
	envSamplerArg     = "OTEL_TRACES_SAMPLER_ARG"
	envHeaders        = "OTEL_EXPORTER_OTLP_HEADERS"
	envTracesHeaders  = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
)

// The protocols.
const (
	protocolGRPC     = "grpc"
	protocolProtobuf = "http/protobuf"
	protocolJSON     = "http/json"
)

// samplers are those that OpenTelemetry's library knows. It would take every
// other word for "all", and so it would a share that is none.
var samplers = map[string]bool{
	"": true, "always_on": true, "always_off": true, "traceidratio": true,
	"parentbased_always_on": true, "parentbased_always_off": true, "parentbased_traceidratio": true,
}

// traceProtocol is how spans go to the collector, "" when they do not. They do
// when a collector or the exporter is named: unlike the specification, which
// would send to this machine's port 4318 when nothing is set. What is wrong is
// an error that quotes no value.
func traceProtocol(getenv func(string) string) (string, error) {
	if strings.EqualFold(getenv(envDisabled), "true") {
		return "", nil
	}
	switch exporter := getenv(envExporter); {
	case exporter == "none":
		return "", nil
	case exporter == "" && getenv(envEndpoint) == "" && getenv(envTracesEndpoint) == "":
		return "", nil
	case exporter != "" && exporter != "otlp":
		return "", errors.New(envExporter + " must be otlp or none")
	}
	var faults []error
	protocol, from := protocolProtobuf, ""
	for _, name := range []string{envProtocol, envTracesProtocol} { // the second wins
		if v := getenv(name); v != "" {
			protocol, from = v, name
		}
	}
	if protocol != protocolGRPC && protocol != protocolProtobuf && protocol != protocolJSON {
		faults = append(faults, fmt.Errorf("%s must be %s, %s or %s", from, protocolGRPC, protocolProtobuf, protocolJSON))
	}
	for _, name := range []string{envEndpoint, envTracesEndpoint} {
		if v := getenv(name); v != "" && !isCollector(v) {
			faults = append(faults, errors.New(name+" must be a URL, such as http://collector:4318"))
		}
	}
	if !samplers[strings.ToLower(strings.TrimSpace(getenv(envSampler)))] {
		faults = append(faults, errors.New(envSampler+" must be always_on, always_off, traceidratio, or one of them after parentbased_"))
	}
	if v := strings.TrimSpace(getenv(envSamplerArg)); v != "" {
		if share, err := strconv.ParseFloat(v, 64); err != nil || !(share >= 0 && share <= 1) {
			faults = append(faults, errors.New(envSamplerArg+" must be a share from 0 to 1"))
		}
	}
	return protocol, errors.Join(faults...)
}

// isCollector reports whether text is an address that the library can use: it
// takes what it cannot parse for this machine.
func isCollector(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
