package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is a block of commands in a page.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

func TestTheCommandsOfTheLoRAExampleExistWithTheirFlags(t *testing.T) {
	page, err := os.ReadFile("../../examples/lora/README.md")
	require.NoError(t, err)
	script, err := os.ReadFile("../../examples/lora/train.py")
	require.NoError(t, err)
	commands, scripts := 0, 0
	for _, found := range block.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(found[1]) {
			words := strings.Fields(line)
			switch words[0] {
			case "datanet":
				commands++
				command, rest, err := newRoot().Find(words[1:])
				require.NoError(t, err, line)
				require.True(t, command.Runnable() && !command.HasSubCommands(), line)
				require.NoError(t, command.ParseFlags(rest), line)
				require.NoError(t, command.ValidateArgs(command.Flags().Args()), line)
			case "python":
				scripts++
				require.Equal(t, "examples/lora/train.py", words[1])
				for _, word := range words[2:] {
					if strings.HasPrefix(word, "--") {
						require.Contains(t, string(script), `parser.add_argument("`+word+`"`)
					}
				}
			}
		}
	}
	require.Equal(t, 6, commands)
	require.Equal(t, 1, scripts)
}
