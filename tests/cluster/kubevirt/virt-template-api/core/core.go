// Package core stands in for kubevirt.io/virt-template-api v0.2.0, which the module proxy does not serve and which
// KubeVirt 1.9.0 imports. It has the names that virt-controller and virt-api compile against, and nothing else: the
// feature (VirtualMachineTemplate) is not installed in the rig.
package core

const (
	GroupName            = "template.kubevirt.io"
	SingularResourceName = "virtualmachinetemplate"
	PluralResourceName   = "virtualmachinetemplates"
)
