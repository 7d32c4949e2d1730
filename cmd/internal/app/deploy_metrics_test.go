package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// deployFile reads a file by its path from the top.
func deployFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are the YAML documents of a file.
func documents[T any](t *testing.T, path string) []T {
	t.Helper()
	// A key beside a merged one that it overrides counts as a duplicate.
	d := yaml.NewDecoder(strings.NewReader(deployFile(t, path)), yaml.AllowDuplicateMapKey())
	var all []T
	for {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, v)
	}
}

// alert is a rule of rules.yml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (list []alert) {
	t.Helper()
	type rules struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	for _, g := range documents[rules](t, "deploy/prometheus/rules.yml")[0].Groups {
		list = append(list, g.Rules...)
	}
	if len(list) == 0 {
		t.Fatal("no alerts were read")
	}
	return list
}

// queries are all PromQL expressions in deploy, by where they stand.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range alerts(t) {
		all["alert "+a.Alert] = a.Expr
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(deployFile(t, "deploy/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			all["variable "+v.Name] = v.Definition
		}
	}
	type adapter struct {
		ExternalRules []struct {
			MetricsQuery string `yaml:"metricsQuery"`
		} `yaml:"externalRules"`
	}
	for _, r := range documents[adapter](t, "deploy/prometheus/adapter.yaml")[0].ExternalRules {
		all["adapter"] = r.MetricsQuery
	}
	return all
}

// family is what is known of a metric: the values of each label.
type family map[string][]string

// exposed are the metrics of a registry under the names that queries use.
func exposed(t *testing.T, reg *prometheus.Registry) map[string]family {
	t.Helper()
	gathered, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]family{"up": {}}
	for _, f := range gathered {
		labels := family{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		if f.GetType() != dto.MetricType_HISTOGRAM {
			all[f.GetName()] = labels
			continue
		}
		all[f.GetName()+"_sum"], all[f.GetName()+"_count"] = labels, labels
		withLE := family{"le": nil}
		maps.Copy(withLE, labels)
		all[f.GetName()+"_bucket"] = withLE
	}
	for name := range all { // what Prometheus adds
		all[name]["job"], all[name]["instance"] = []string{"wxnotify-worker", "wxnotify-gateway"}, nil
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b(wxnotify_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
)

// checkQuery says what a query names that does not exist.
func checkQuery(query string, metrics map[string]family) error {
	var faults []error
	used := family{}
	if !selector.MatchString(query) {
		return errors.New("no metric is found in it")
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		f, ok := metrics[s[1]]
		if !ok {
			faults = append(faults, fmt.Errorf("metric %s does not exist", s[1]))
			continue
		}
		for name := range f {
			used[name] = nil
		}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			faults = append(faults, checkMatcher(s[1], f, m[1], m[3]))
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(g[1], ",") {
			if _, ok := used[strings.TrimSpace(name)]; !ok {
				faults = append(faults, fmt.Errorf("no metric of it has the label %s", name))
			}
		}
	}
	return errors.Join(faults...)
}

// checkMatcher holds each alternative of a pattern against the closed set of the
// label's values.
func checkMatcher(metric string, f family, label, pattern string) error {
	values, ok := f[label]
	if !ok {
		return fmt.Errorf("%s has no label %s", metric, label)
	}
	if strings.HasPrefix(pattern, "$") {
		return nil // a variable of the dashboard
	}
	for want := range strings.SplitSeq(pattern, "|") {
		if !slices.Contains(values, want) {
			return fmt.Errorf("label %s of %s is never %s", label, metric, want)
		}
	}
	return nil
}

// TestDeployQueries: every query of the alerts, the dashboard and the autoscaler
// asks for metrics, labels and values that a running process has.
func TestDeployQueries(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{
		"API_KEYS": "approval:" + strings.Repeat("k", 32), "LISTEN_ADDR": "127.0.0.1:0",
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": callbackAESKey,
	})
	process := r.startDoor(true)
	var metrics map[string]family
	eventually(t, "the process leads", func() error {
		metrics = exposed(t, process.Registry)
		if metrics["wxnotify_store_dead_letters"] == nil || metrics["wxnotify_store_consent_messages"] == nil {
			return errors.New("not yet")
		}
		return nil
	})
	for where, query := range queries(t) {
		if err := checkQuery(query, metrics); err != nil {
			t.Errorf("%s: %v\n%s", where, err, query)
		}
	}
	for _, wrong := range []string{
		"rate(wxnotify_worker_send_total[5m])", `wxnotify_worker_sends_total{kid="ok"}`, `wxnotify_worker_sends_total{kind="okay"}`,
		`wxnotify_worker_sends_total{kind=~"ok|okay"}`, "sum by (kid) (wxnotify_worker_sends_total)", "wxnotify_worker_send_seconds", `up{job="worker"}`,
	} {
		if checkQuery(wrong, metrics) == nil {
			t.Errorf("%s: nothing was found", wrong)
		}
	}
}

// TestRunbook: each alert has its section, in order, and leads to it.
func TestRunbook(t *testing.T) {
	t.Parallel()
	var names, sections []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if link := a.Annotations["runbook_url"]; !strings.HasSuffix(link, "/deploy/docs/runbook.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s leads to %s", a.Alert, link)
		}
		if a.Annotations["summary"] == "" || !slices.Contains([]string{"page", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: summary %q, severity %q", a.Alert, a.Annotations["summary"], a.Labels["severity"])
		}
	}
	for _, section := range strings.Split(deployFile(t, "deploy/docs/runbook.md"), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections = append(sections, name)
		at := -1
		for _, part := range []string{"- **Means:** ", "- **Users notice:** ", "- **Look at:** ", "- **Do:** "} {
			i := strings.Index(text, part)
			if i <= at {
				t.Errorf("%s has no %q, or not in its place", name, part)
			}
			at = i
		}
	}
	if !slices.Equal(names, sections) {
		t.Errorf("the alerts are %v\nthe sections  %v", names, sections)
	}
	tests := deployFile(t, "deploy/prometheus/rules_test.yml")
	for _, name := range names {
		if !strings.Contains(tests, fmt.Sprintf("ALERTS{alertname=%q", name)) {
			t.Errorf("%s has no unit test", name)
		}
	}
}
