package main

// Finding the copies that a VirtualMachineSnapshot stands for, so that a test can look at them without restoring.

import (
	"context"
	"fmt"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

var (
	vmSnapshots        = schema.GroupVersionResource{Group: "snapshot.kubevirt.io", Version: "v1beta1", Resource: "virtualmachinesnapshots"}
	vmSnapshotContents = schema.GroupVersionResource{Group: "snapshot.kubevirt.io", Version: "v1beta1", Resource: "virtualmachinesnapshotcontents"}
	volumeSnapshots    = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshots"}
	volumeContents     = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}
)

// snapshotDisks returns the directories of the copies in STATE/snapshots, in the order of the VM's disks, with "-" for
// a disk that was not copied.
func snapshotDisks(ctx context.Context, client dynamic.Interface, state, namespace, name string) ([]string, error) {
	snapshot, err := client.Resource(vmSnapshots).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	contentName := str(snapshot.Object, "status", "virtualMachineSnapshotContentName")
	if contentName == "" {
		return nil, fmt.Errorf("virtualmachinesnapshot %s/%s has no content yet", namespace, name)
	}
	content, err := client.Resource(vmSnapshotContents).Namespace(namespace).Get(ctx, contentName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	taken := map[string]string{} // volume -> VolumeSnapshot
	backups, _, _ := unstructured.NestedSlice(content.Object, "spec", "volumeBackups")
	for _, b := range backups {
		if m, ok := b.(map[string]any); ok {
			taken[str(m, "volumeName")] = str(m, "volumeSnapshotName")
		}
	}
	spec, _, _ := unstructured.NestedMap(content.Object, "spec", "source", "virtualMachine", "spec", "template", "spec")
	volumes, disks := orderedVolumes(spec)
	var paths []string
	add := func(volume, disk map[string]any) error {
		if !writable(volume, disk) {
			return nil
		}
		vs := taken[str(volume, "name")]
		if vs == "" {
			paths = append(paths, "-")
			return nil
		}
		handle, err := snapshotHandle(ctx, client, namespace, vs)
		if err != nil {
			return err
		}
		paths = append(paths, filepath.Join(state, "snapshots", handle))
		return nil
	}
	// A guest numbers its disks as they came: those of the spec first, hot-plugged ones behind them.
	for _, hot := range []bool{false, true} {
		for i, volume := range volumes {
			if isHotplug(volume) == hot {
				if err := add(volume, disks[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	return paths, nil
}

func snapshotHandle(ctx context.Context, client dynamic.Interface, namespace, name string) (string, error) {
	vs, err := client.Resource(volumeSnapshots).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	contentName := str(vs.Object, "status", "boundVolumeSnapshotContentName")
	if contentName == "" {
		return "", fmt.Errorf("volumesnapshot %s/%s is not bound", namespace, name)
	}
	content, err := client.Resource(volumeContents).Get(ctx, contentName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	handle := str(content.Object, "status", "snapshotHandle")
	if handle == "" {
		handle = str(content.Object, "spec", "source", "snapshotHandle")
	}
	if handle == "" {
		return "", fmt.Errorf("volumesnapshotcontent %s is not cut yet", contentName)
	}
	return handle, nil
}
