// Command rig-kubevirt is KubeVirt's virt-controller, unchanged, and an installer that does once what virt-operator
// does in a real cluster. The version of KubeVirt is the one in go.mod (or go-1.8.0.mod, go-1.7.0.mod with -modfile).
//
//	rig-kubevirt virt-controller [flags]   upstream's own command line
//	rig-kubevirt certs DIR                 make KubeVirt's CAs and certificates below DIR, as SECRET/tls.{crt,key}
//	rig-kubevirt install [flags]           install CRDs, RBAC, configuration, webhooks and API services
package main

import (
	"fmt"
	"os"

	"kubevirt.io/kubevirt/pkg/virt-controller/watch"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	var err error
	switch {
	case name == "virt-controller":
		watch.Execute()
	case name == "certs" && len(os.Args) == 2:
		err = makeCerts(os.Args[1])
	case name == "install":
		err = install(os.Args[1:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "rig-kubevirt %s: %v\n", name, err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: rig-kubevirt virt-controller [flags] | certs DIR | install [flags]")
	os.Exit(2)
}
