package main

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo is what the binary knows of itself.
type versionInfo struct {
	Version  string `json:"version"` // of the module; "(devel)" for a build from a work tree
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`     // of the commit
	Modified *bool  `json:"modified,omitempty"` // the work tree had changes; nil when the build does not know
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (p *program) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupOperate,
		Args:    cobra.NoArgs,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		info, _ := debug.ReadBuildInfo()
		v := newVersionInfo(info)
		if *asJSON {
			return p.printJSON(v)
		}
		return p.print(v.String() + "\n")
	}
	return cmd
}

// newVersionInfo reads what the go command wrote into the binary; nil means
// that it was built by something else.
func newVersionInfo(info *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			modified := s.Value == "true"
			v.Modified = &modified
		}
	}
	return v
}

// String is one line.
func (v versionInfo) String() string {
	parts := []string{"wxnotify", v.Version}
	if v.Commit != "" {
		commit := v.Commit
		if v.Modified != nil && *v.Modified {
			commit += " with changes"
		}
		parts = append(parts, "("+commit+", "+v.Time+")")
	}
	return strings.Join(append(parts, v.Go, v.Platform), " ")
}
