package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTimeout bounds what one scrape asks of Redis, and of the store. It is
// shorter than Prometheus' own default of ten seconds for both together.
const scrapeTimeout = 3 * time.Second

// startMetrics registers what belongs to the process as a whole: its build, what
// it stands on, the queues, and how things stand in the store. What is counted is
// asked for at each scrape, what users allowed now and then.
func (p *Process) startMetrics(ctx context.Context) error {
	p.Registry.MustRegister(newBuildInfo(), &queueCollector{process: p}, &storeCollector{process: p}, p.startConsents(ctx), p.delivered)
	return nil
}

// newBuildInfo is a gauge that is 1 and says what runs.
func newBuildInfo() prometheus.Collector {
	version, commit := build()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "wxnotify_build_info", Help: "1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go_version": runtime.Version()},
	})
	g.Set(1)
	return g
}

// build is the version and the commit of this program, as far as it knows them.
func build() (version, commit string) {
	version = "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return version, commit
}

// gauge makes a metric of a collector.
func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// up is 1 without an error and 0 with one.
func up(err error) float64 {
	if err != nil {
		return 0
	}
	return 1
}
