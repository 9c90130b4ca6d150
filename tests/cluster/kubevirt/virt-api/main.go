// Command virt-api is KubeVirt's API server extension, unchanged: admission webhooks and the subresource API.
//
// A binary of its own, because package kubevirt.io/kubevirt/pkg/virt-api/definitions spends seconds of CPU in its
// init, which everything linked with it would pay at every start. For the same reason it can be started early: with
// RIG_START_FILE set, main waits until that file exists.
package main

import (
	"os"
	"time"

	"kubevirt.io/client-go/log"

	"kubevirt.io/kubevirt/pkg/service"
	virtapi "kubevirt.io/kubevirt/pkg/virt-api"
)

func main() {
	if file := os.Getenv("RIG_START_FILE"); file != "" {
		for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
			time.Sleep(20 * time.Millisecond)
		}
	}
	log.InitializeLogging("virt-api")
	app := virtapi.NewVirtApi()
	service.Setup(app)
	app.Execute()
}
