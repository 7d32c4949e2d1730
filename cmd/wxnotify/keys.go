package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make API keys for producers",
		Long: "A producer is who hands notifications in by HTTP. It shows an API key; the\n" +
			"settings hold the key's hash, so that who reads them cannot use it.",
		GroupID: groupOperate,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.keysNewCommand())
	return cmd
}

// newKey is an API key as it is printed, once.
type newKey struct {
	Name   string   `json:"name"`
	Key    string   `json:"key"`
	Hash   string   `json:"hash"`
	Rights []string `json:"rights"`
}

func (p *program) keysNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key and print it once, with the lines for the settings",
		Long: "new prints a key of 256 random bits and the lines for the file of the settings\n" +
			"(WXNOTIFY_CONFIG), which hold its hash. Nothing keeps the key: give it to the\n" +
			"producer now. To change a key without a gap, add the new hash to the producer's\n" +
			"keys and take the old one out when nobody uses it any more.",
		Example: "  wxnotify keys new approval\n" +
			"  wxnotify keys new crm --rights send,read,users",
		Args: cobra.ExactArgs(1),
	}
	rights := cmd.Flags().StringSlice("rights", []string{string(config.RightSend), string(config.RightRead)},
		"what it may do: "+rightNames())
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		k := makeKey(args[0], *rights)
		if err := k.check(); err != nil {
			return usageError{err}
		}
		if *asJSON {
			return p.printJSON(k)
		}
		if err := p.print("key: " + k.Key + "\n\n" + k.settings()); err != nil {
			return err
		}
		p.printf("The key is not shown again. The lines belong into the file that WXNOTIFY_CONFIG names;\n" +
			"the gateway reads it when it starts, and on SIGHUP.\n")
		return nil
	}
	return cmd
}

func rightNames() string {
	names := make([]string, len(config.Rights))
	for i, r := range config.Rights {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func makeKey(name string, rights []string) newKey {
	key := apikey.New()
	return newKey{Name: name, Key: key, Hash: apikey.Of(key).String(), Rights: rights}
}

// settings are the lines for the file. The name is quoted, since null and true
// are names too.
func (k newKey) settings() string {
	return fmt.Sprintf("producers:\n  - name: %s\n    keys: [%s]\n    rights: [%s]\n",
		strconv.Quote(k.Name), k.Hash, strings.Join(k.Rights, ", "))
}

// check loads the lines as the gateway will.
func (k newKey) check() error { return checkSettings("producers[0].", k.settings()) }

// checkSettings loads lines for the file and says what is wrong with them,
// without the prefix of the settings' names.
func checkSettings(prefix, lines string) error {
	const path = "lines"
	_, err := config.Load(config.Sources{
		Flags: map[string]string{config.FileFlag: path},
		ReadFile: func(name string) ([]byte, error) {
			if name != path {
				return nil, fs.ErrNotExist
			}
			return []byte(lines), nil
		},
	})
	bad, ok := errors.AsType[*config.Error](err)
	if !ok {
		return err
	}
	var errs []error
	for _, f := range bad.Faults {
		errs = append(errs, fmt.Errorf("%s: %s", strings.TrimPrefix(f.Setting, prefix), f.Problem))
	}
	return errors.Join(errs...)
}
