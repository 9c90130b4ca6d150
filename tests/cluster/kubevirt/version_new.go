//go:build !kubevirt17

package main

import (
	"k8s.io/apimachinery/pkg/runtime"

	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/rbac"
)

// hasDisabledGates says whether KubeVirt's configuration knows disabledFeatureGates (gates in state Beta are on
// without being named since 1.8).
const hasDisabledGates = true

func newCRDs() []crdMaker {
	return append(commonCRDs(), components.NewVirtualMachineBackupCrd, components.NewVirtualMachineBackupTrackerCrd)
}

func controllerRBAC() []runtime.Object { return rbac.GetAllController(namespace, true) }

func newWebhooks() []runtime.Object {
	return append(commonWebhooks(), components.NewVirtLauncherPodMutatingWebhookConfiguration(namespace))
}
