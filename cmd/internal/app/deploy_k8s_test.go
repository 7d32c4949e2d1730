package app_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// manifest is a Kubernetes object, as far as it matters here.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Selector    map[string]any     `yaml:"selector"`
		PodSelector map[string]any     `yaml:"podSelector"`
		Template    struct{ Spec pod } `yaml:"template"`
		Ports       []struct {
			TargetPort string `yaml:"targetPort"`
		} `yaml:"ports"`
		ScaleTargetRef struct{ Kind, Name string } `yaml:"scaleTargetRef"`
		Metrics        []struct {
			External struct {
				Metric struct{ Name string } `yaml:"metric"`
			} `yaml:"external"`
		} `yaml:"metrics"`
		Ingress []struct {
			Ports []struct{ Port int } `yaml:"ports"`
		} `yaml:"ingress"`
	} `yaml:"spec"`
}

type pod struct {
	Grace    int  `yaml:"terminationGracePeriodSeconds"`
	Token    bool `yaml:"automountServiceAccountToken"`
	Security struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		RunAsUser    int  `yaml:"runAsUser"`
	} `yaml:"securityContext"`
	Containers []container `yaml:"containers"`
	Volumes    []struct {
		Secret struct {
			SecretName string                       `yaml:"secretName"`
			Items      []struct{ Key, Path string } `yaml:"items"`
		} `yaml:"secret"`
	} `yaml:"volumes"`
}

type container struct {
	Args  []string                       `yaml:"args"`
	Env   []struct{ Name, Value string } `yaml:"env"`
	Ports []struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	} `yaml:"ports"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	Resources      struct {
		Limits map[string]string `yaml:"limits"`
	} `yaml:"resources"`
	SecurityContext struct {
		AllowPrivilegeEscalation bool                    `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                    `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string } `yaml:"capabilities"`
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

const k8s = "deploy/k8s/"

// manifests are all objects, by kind and name. Each file is named by the
// kustomization.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	type kustomization struct {
		Resources []string `yaml:"resources"`
	}
	resources := documents[kustomization](t, k8s+"kustomization.yaml")[0].Resources
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "deploy", "k8s", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]manifest{}
	for _, path := range files {
		name := filepath.Base(path)
		if name == "kustomization.yaml" {
			continue
		}
		if !slices.Contains(resources, name) {
			t.Errorf("%s is not in the kustomization", name)
		}
		for _, m := range documents[manifest](t, k8s+name) {
			all[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	if len(files) != len(resources)+1 {
		t.Errorf("%d files, %d resources", len(files), len(resources))
	}
	return all
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	for _, name := range []string{
		"Deployment gateway", "Deployment worker", "Job migrate", "Service gateway", "HorizontalPodAutoscaler worker",
		"PodDisruptionBudget gateway", "PodDisruptionBudget worker", "NetworkPolicy wxnotify", "NetworkPolicy gateway",
	} {
		if _, ok := all[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	for name, m := range all {
		switch m.Kind {
		case "Deployment", "Job":
			checkPod(t, name, m.Spec.Template.Spec)
		case "Service":
			c := all["Deployment gateway"].Spec.Template.Spec.Containers[0]
			if port := m.Spec.Ports[0].TargetPort; !c.hasPort(port, 0) {
				t.Errorf("%s leads to port %s, which the gateway does not have", name, port)
			}
		case "NetworkPolicy":
			for _, rule := range m.Spec.Ingress {
				for _, p := range rule.Ports {
					if !all["Deployment gateway"].Spec.Template.Spec.Containers[0].hasPort("", p.Port) {
						t.Errorf("%s lets in to port %d, where nobody listens", name, p.Port)
					}
				}
			}
		}
	}
	hpa := all["HorizontalPodAutoscaler worker"].Spec
	if _, ok := all[hpa.ScaleTargetRef.Kind+" "+hpa.ScaleTargetRef.Name]; !ok {
		t.Errorf("the autoscaler is about %+v", hpa.ScaleTargetRef)
	}
	for _, m := range hpa.Metrics {
		if !strings.Contains(deployFile(t, "deploy/prometheus/adapter.yaml"), "name: {as: "+m.External.Metric.Name+"}") {
			t.Errorf("the adapter does not provide %s", m.External.Metric.Name)
		}
	}
}

func (c container) hasPort(name string, number int) bool {
	for _, p := range c.Ports {
		if p.Name == name || p.ContainerPort == number {
			return true
		}
	}
	return false
}

// checkPod checks what runs: who it is, what it may, what it is asked and set.
func checkPod(t *testing.T, name string, p pod) {
	t.Helper()
	c := p.Containers[0]
	s := c.SecurityContext
	if !p.Security.RunAsNonRoot || p.Security.RunAsUser == 0 || p.Token || s.AllowPrivilegeEscalation ||
		!s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || c.Resources.Limits["memory"] == "" {
		t.Errorf("%s may do too much: %+v %+v limits %v", name, p.Security, s, c.Resources.Limits)
	}
	var names []string
	for _, e := range c.Env {
		names = append(names, e.Name)
		checkSecret(t, name, p, e.Value)
	}
	env := settingsEnv(t)
	wantSettings(t, name, append(names, keys(env)...))
	cfg, err := config.Load(config.Sources{LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	if err != nil {
		t.Fatalf("settings.env: %v", err)
	}
	if name == "Job migrate" {
		return
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("%s: probes %+v, %+v", name, c.LivenessProbe, c.ReadinessProbe)
	}
	for _, q := range []probe{c.LivenessProbe, c.ReadinessProbe} {
		if !c.hasPort(q.HTTPGet.Port, 0) {
			t.Errorf("%s: a probe asks port %q, which is not there", name, q.HTTPGet.Port)
		}
	}
	for _, port := range c.Ports {
		want := map[string]int{cfg.AdminAddr: 9090, cfg.ListenAddr: 8080}
		if port.Name == "admin" && want[cfg.AdminAddr] != port.ContainerPort || port.Name == "http" && want[cfg.ListenAddr] != port.ContainerPort ||
			cfg.AdminAddr != ":9090" || cfg.ListenAddr != ":8080" {
			t.Errorf("%s: port %+v; ADMIN_ADDR is %s, LISTEN_ADDR %s", name, port, cfg.AdminAddr, cfg.ListenAddr)
		}
	}
	if least := map[string]int{"worker": 30, "gateway": 50}[c.Args[0]]; least == 0 || p.Grace < least {
		t.Errorf("%s runs %v and has %d s to end, want %d", name, c.Args, p.Grace, least)
	}
}

// checkSecret: a variable that names a file is mounted from the secret, whose
// making is described.
func checkSecret(t *testing.T, name string, p pod, path string) {
	t.Helper()
	v := p.Volumes[0].Secret
	key := filepath.Base(path)
	if filepath.Dir(path) != p.Containers[0].VolumeMounts[0].MountPath || v.SecretName != "wxnotify" ||
		!slices.ContainsFunc(v.Items, func(i struct{ Key, Path string }) bool { return i.Key == key && i.Path == key }) {
		t.Errorf("%s: %s is not mounted from the secret", name, path)
	}
	if !regexp.MustCompile(`--from-literal=` + key + `=`).MatchString(deployFile(t, k8s+"kustomization.yaml")) {
		t.Errorf("%s: nobody says how secret %s is made", name, key)
	}
}

// settingsEnv is what the file of settings holds.
func settingsEnv(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(deployFile(t, k8s+"settings.env")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			env[key] = value
		}
	}
	return env
}
