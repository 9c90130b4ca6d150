// Command rig-kube is Kubernetes' own servers in one file: etcd, kube-apiserver, kube-controller-manager and
// kube-scheduler, unchanged, chosen by the name it is started as or by its first argument.
//
// One file instead of four, because they share most of their packages: a quarter of the link time and of the disk.
// kubectl is a module of its own (../kubectl): linked together with servers it starts twice as slowly.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var servers = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

// run starts the server of that name with os.Args as its own command line; false if there is none.
func run(name string) bool {
	if name == "etcd" {
		etcdmain.Main(os.Args)
		os.Exit(0)
	}
	if server, ok := servers[name]; ok {
		os.Exit(cli.Run(server()))
	}
	return false
}

func main() {
	if run(filepath.Base(os.Args[0])) {
		return
	}
	if len(os.Args) > 1 {
		name := os.Args[1]
		os.Args = append([]string{name}, os.Args[2:]...)
		if run(name) {
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: rig-kube etcd|kube-apiserver|kube-controller-manager|kube-scheduler [flags]")
	os.Exit(2)
}
