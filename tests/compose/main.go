// Reads a compose file as `docker compose` does, with its parser, and writes what it comes to as JSON: the services of the wanted
// profiles with everything merged and filled in ("model"), and the variables that the file takes, with their defaults ("variables").
//
// Nothing of the environment is looked at; variables come from the file that -env names, or there are none.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/template"
)

func main() {
	folder := flag.String("C", ".", "the folder that paths are relative to")
	env := flag.String("env", "", "a file with variables")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: tests/compose/resolve [-env FILE] COMPOSE-FILE [PROFILE...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	err := os.Chdir(*folder)
	if err == nil {
		err = run(flag.Arg(0), *env, flag.Args()[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, env string, profiles []string) error {
	model, err := resolve(file, env, profiles)
	if err != nil {
		return err
	}
	variables, err := variables(file)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"model": json.RawMessage(model), "variables": variables})
}

func resolve(file, env string, profiles []string) ([]byte, error) {
	options := []cli.ProjectOptionsFn{}
	if env != "" {
		options = append(options, cli.WithEnvFiles(env), cli.WithDotEnv)
	}
	options = append(options, cli.WithDefaultProfiles(profiles...))
	project, err := cli.NewProjectOptions([]string{file}, options...)
	if err != nil {
		return nil, err
	}
	loaded, err := project.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return loaded.MarshalJSON()
}

func variables(file string) (map[string]string, error) {
	project, err := cli.NewProjectOptions([]string{file}, cli.WithInterpolation(false))
	if err != nil {
		return nil, err
	}
	model, err := project.LoadModel(context.Background())
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for name, variable := range template.ExtractVariables(model, template.DefaultPattern) {
		defaults[name] = variable.DefaultValue
	}
	return defaults, nil
}
