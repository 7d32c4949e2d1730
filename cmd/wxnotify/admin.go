package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
)

func (p *program) adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Make passwords for the console at /admin/",
		Long: "The console's users stand in the file of the settings with their passwords' hashes,\n" +
			"so that who reads the file cannot log in. ADMIN_PASSWORD makes one operator, admin.",
		GroupID: groupOperate,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.adminPasswordCommand())
	return cmd
}

func (p *program) adminPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Hash a password, and print the lines for the settings",
		Long: "password asks for a password twice, or reads one line of stdin when that is no\n" +
			"terminal, and prints the lines for the file that WXNOTIFY_CONFIG names. A process\n" +
			"reads them when it starts. A user whose hash changes is logged out.",
		Example: "  wxnotify admin password ada --role operator",
		Args:    cobra.ExactArgs(1),
	}
	role := cmd.Flags().String("role", string(config.RoleViewer), "viewer sees, operator sees everything and acts")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if !slices.Contains([]config.AdminRole{config.RoleViewer, config.RoleOperator}, config.AdminRole(*role)) {
			return usagef("--role must be %s or %s", config.RoleViewer, config.RoleOperator)
		}
		text, err := p.askPassword()
		if err != nil {
			return err
		}
		lines := adminUserLines(args[0], *role, password.New(text))
		if err := checkSettings("admin_users[0].", lines); err != nil {
			return usageError{err}
		}
		return p.print(lines)
	}
	return cmd
}

// adminUserLines are the lines for the file. The name is quoted, since null and
// true are names too.
func adminUserLines(name, role string, hash password.Hash) string {
	return fmt.Sprintf("admin_users:\n  - name: %s\n    password_hash: '%s'\n    role: %s\n", strconv.Quote(name), hash, role)
}

// askPassword reads a new password: from the terminal twice and without showing
// it, or the first line of stdin.
func (p *program) askPassword() (string, error) {
	var text string
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		var typed [2]string
		for i, prompt := range []string{"password: ", "again: "} {
			p.printf("%s", prompt)
			b, err := term.ReadPassword(int(f.Fd()))
			p.printf("\n")
			if err != nil {
				return "", fmt.Errorf("read the password: %w", err)
			}
			typed[i] = string(b)
		}
		if typed[0] != typed[1] {
			return "", errors.New("the two passwords differ")
		}
		text = typed[0]
	} else {
		line, err := bufio.NewReader(p.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		text = strings.TrimRight(line, "\r\n")
	}
	if len(text) < password.MinLength {
		return "", fmt.Errorf("a password has at least %d characters", password.MinLength)
	}
	return text, nil
}
