//go:build kubevirt17

package main

import (
	"k8s.io/apimachinery/pkg/runtime"

	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/rbac"
)

const hasDisabledGates = false

func newCRDs() []crdMaker { return commonCRDs() }

func controllerRBAC() []runtime.Object { return rbac.GetAllController(namespace) }

func newWebhooks() []runtime.Object { return commonWebhooks() }
