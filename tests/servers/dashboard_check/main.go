// Judges dashboards by Grafana's own types: unknown keys, missing ones and wrong kinds of values are named.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	code := 0
	for _, name := range os.Args[1:] {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		found := dashboard.Dashboard{}
		// An error without a text is none.
		if err := found.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
			fmt.Println(name, err)
			code = 1
		} else if err := found.Validate(); err != nil {
			fmt.Println(name, err)
			code = 1
		}
	}
	os.Exit(code)
}
