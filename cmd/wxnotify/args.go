package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// nameArgs makes a fault in the number of a command's arguments name them, by
// the words of its Use: "bind USER OPENID" needs USER and OPENID. What else Args
// finds stays as it is.
func nameArgs(cmd *cobra.Command) {
	names, least, repeats := positional(cmd.Use)
	if len(names) == 0 {
		return
	}
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		switch {
		case len(args) < least:
			return usagef("%s needs %s", path, strings.Join(names[:least], " and "))
		case len(args) > len(names) && !repeats:
			return usagef("%s takes %s and nothing else", path, strings.Join(names, " and "))
		case inner == nil:
			return nil
		}
		return inner(cmd, args)
	}
}

// positional reads the arguments out of a Use such as "send [FILE]": their
// names, how many of them are required, and whether the last one may come again.
// It reads none where there are alternatives: such a command looks for itself.
func positional(use string) (names []string, least int, repeats bool) {
	if strings.Contains(use, " | ") {
		return nil, 0, false
	}
	for _, word := range strings.Fields(use)[1:] {
		name := strings.TrimSuffix(strings.Trim(word, "[]"), "...")
		if strings.HasPrefix(name, "-") || name != strings.ToUpper(name) {
			continue
		}
		names = append(names, name)
		repeats = strings.Contains(word, "...")
		if !strings.HasPrefix(word, "[") {
			least = len(names)
		}
	}
	return names, least, repeats
}
